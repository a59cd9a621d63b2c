#include "ops/attend_pieces.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <functional>
#include <limits>

namespace lithe::ops {
namespace {

/// If plain causal attention does not apply, at most this many queries share one mask.
constexpr int64_t kMaskRows = 256;

bool ascends(std::span<const int64_t> positions) {
  return std::adjacent_find(positions.begin(), positions.end(), std::greater_equal<>()) == positions.end();
}

/// Whether queries and keys are the same rows: then a query sees itself and what stands before it.
bool are_one_list(std::span<const int64_t> queries, const KeyValueView& view) {
  const std::span<const int64_t> keys = view.held.rows() == 0 ? view.fresh.positions : view.held.positions;
  return (view.held.rows() == 0 || view.fresh.rows() == 0) &&
         std::equal(queries.begin(), queries.end(), keys.begin(), keys.end());
}

bool is_square_causal(const std::vector<Visible>& visible, int64_t length) {
  if (static_cast<int64_t>(visible.size()) != length) return false;
  for (int64_t i = 0; i < length; ++i) {
    if (visible[static_cast<size_t>(i)].begin != 0 || visible[static_cast<size_t>(i)].end != i + 1) return false;
  }
  return true;
}

/// Additive mask over keys [first, last) for some queries: 0 for visible keys, -inf for the others; a blind query gets
/// a row of zeros.
Tensor block_mask(std::span<const Visible> visible, int64_t first, int64_t last, const Tensor& like) {
  Tensor mask = at::full({static_cast<int64_t>(visible.size()), last - first}, -std::numeric_limits<float>::infinity(),
                         at::kFloat);
  float* data = mask.mutable_data_ptr<float>();
  for (size_t i = 0; i < visible.size(); ++i) {
    float* row = data + static_cast<int64_t>(i) * (last - first);
    const bool blind = visible[i].none();
    std::fill(row + (blind ? 0 : visible[i].begin - first), row + (blind ? last - first : visible[i].end - first),
              0.0f);
  }
  return mask.to(like.options());
}

/// 1 for queries that see a key, 0 for blind ones.  [rows, 1, 1]
Tensor sighted(std::span<const Visible> visible, const Tensor& like) {
  Tensor flags = at::empty({static_cast<int64_t>(visible.size()), 1, 1}, at::kFloat);
  float* data = flags.mutable_data_ptr<float>();
  for (size_t i = 0; i < visible.size(); ++i) data[i] = visible[i].none() ? 0.0f : 1.0f;
  return flags.to(like.options());
}

AttendPiece piece_of(std::span<const Visible> visible, int64_t begin, const Tensor& like) {
  AttendPiece piece{.begin = begin, .count = static_cast<int64_t>(visible.size())};
  const Visible any = seen_by_any(visible);
  if (any.end == 0) return piece;
  piece.first = any.begin;
  piece.length = any.end - any.begin;
  const bool all_alike = std::all_of(visible.begin(), visible.end(),
                                     [&](const Visible& v) { return v.begin == any.begin && v.end == any.end; });
  if (all_alike) return piece;
  piece.mask = block_mask(visible, any.begin, any.end, like);
  const bool any_blind = std::any_of(visible.begin(), visible.end(), [](const Visible& v) { return v.none(); });
  if (any_blind) piece.sighted = sighted(visible, like);
  return piece;
}

}  // namespace

std::vector<AttendPiece> pieces_of(std::span<const int64_t> positions, const KeyValueView& view,
                                   const AttendOptions& options, const Tensor& like) {
  const auto rows = static_cast<int64_t>(positions.size());
  if (view.rows() == 0) return {{.count = rows}};
  if (rows > 1 && options.causal && !options.window && ascends(positions) && are_one_list(positions, view))
    return {{.count = rows, .length = rows, .causal = true}};
  const std::vector<Visible> visible = visible_keys(positions, view, options);
  if (rows > 1 && is_square_causal(visible, view.rows()))
    return {{.count = rows, .length = view.rows(), .causal = true}};
  std::vector<AttendPiece> pieces;
  const int64_t step = options.causal || options.window ? kMaskRows : rows;
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t count = std::min(step, rows - begin);
    pieces.push_back(piece_of(std::span(visible.data() + begin, static_cast<size_t>(count)), begin, like));
  }
  return pieces;
}

Tensor laid_queries(const Tensor& queries, int64_t kv_heads) {
  const int64_t rows = queries.size(0), heads = queries.size(1), width = queries.size(2);
  if (heads == kv_heads) return queries.transpose(0, 1).unsqueeze(0);
  return queries.view({rows, kv_heads, heads / kv_heads, width}).permute({1, 2, 0, 3});
}

Tensor laid_keys(const Tensor& keys, int64_t heads) {
  const int64_t length = keys.size(0), kv_heads = keys.size(1), width = keys.size(2);
  if (heads == kv_heads) return keys.transpose(0, 1).unsqueeze(0);
  return keys.transpose(0, 1).unsqueeze(1).expand({kv_heads, heads / kv_heads, length, width});
}

Tensor rows_of_laid(const Tensor& laid) {
  if (laid.size(0) == 1) return laid.squeeze(0).transpose(0, 1);
  return laid.permute({2, 0, 1, 3}).flatten(1, 2);
}

}  // namespace lithe::ops
