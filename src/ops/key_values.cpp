#include "ops/key_values.h"

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <vector>

#include "ops/plain.h"

namespace lithe::ops {
namespace {

enum Half : int64_t { kKeys, kValues };

/// The keys or the values of a block, with their axes in the order in which the products give them.  -> [kBlockRows,
/// kv_heads, head_dim]
Tensor rows_of(const Tensor& block, Half which) {
  const int64_t heads = block.size(0), width = block.size(2) / kBlockRows;
  const Tensor half = block.select(1, which);  // [kv_heads, kBlockRows * head_dim]
  return which == kKeys ? half.view({heads, width, kBlockRows}).permute({2, 0, 1})
                        : half.view({heads, kBlockRows, width}).transpose(0, 1);
}

Tensor all_rows(const KeyValueView& view, Half which, const Tensor& like) {
  std::vector<Tensor> pieces;
  for (int64_t first = 0; first < view.held.rows(); first += kBlockRows) {
    const Tensor& block = view.held.blocks[static_cast<size_t>(first / kBlockRows)];
    const int64_t rows = std::min(kBlockRows, view.held.rows() - first);
    pieces.push_back(rows_of(block, which).narrow(0, 0, rows).to(like.scalar_type()));
  }
  if (view.fresh.rows() > 0 || pieces.empty()) pieces.push_back(which == kKeys ? view.fresh.keys : view.fresh.values);
  return pieces.size() == 1 ? pieces.front() : at::cat(pieces);
}

/// Columns of keys that are written together: source and destination then stay in the nearest cache.
constexpr int64_t kColumns = 16;

template <class Stored>
void store_head(Stored* data, int64_t first, const float* keys, const float* values, int64_t rows, int64_t stride,
                int64_t width) {
  for (int64_t from = 0; from < width; from += kColumns) {
    const int64_t to = std::min(width, from + kColumns);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t i = from; i < to; ++i)
        data[i * kBlockRows + first + row] = static_cast<Stored>(keys[row * stride + i]);
    }
  }
  Stored* out = data + (kBlockRows + first) * width;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < width; ++i) out[row * width + i] = static_cast<Stored>(values[row * stride + i]);
  }
}

template <class Stored>
void store_plain(const Tensor& block, int64_t first, const Tensor& keys, const Tensor& values) {
  const int64_t rows = keys.size(0), heads = keys.size(1), width = keys.size(2);
  const float *key = keys.const_data_ptr<float>(), *value = values.const_data_ptr<float>();
  auto* const data = block.mutable_data_ptr<Stored>();
  at::parallel_for(0, heads, grain_rows(rows * width), [&](int64_t begin, int64_t end) {
    for (int64_t head = begin; head < end; ++head) {
      store_head(data + head * 2 * kBlockRows * width, first, key + head * width, value + head * width, rows,
                 heads * width, width);
    }
  });
}

bool is_plain(const Tensor& x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
}

}  // namespace

FreshRows FreshRows::some(int64_t first, int64_t count) const {
  return {keys.narrow(0, first, count), values.narrow(0, first, count),
          positions.subspan(static_cast<size_t>(first), static_cast<size_t>(count))};
}

int64_t KeyValueView::rows_up_to(int64_t position) const {
  const auto count = [position](std::span<const int64_t> positions) {
    return std::upper_bound(positions.begin(), positions.end(), position) - positions.begin();
  };
  return count(held.positions) + count(fresh.positions);
}

Tensor empty_block(const Tensor& keys, KeyValueKind kind) {
  const at::ScalarType type = kind == KeyValueKind::bfloat16 ? at::kBFloat16 : keys.scalar_type();
  return at::empty({keys.size(1), 2, kBlockRows * keys.size(2)}, keys.options().dtype(type).requires_grad(false));
}

void store_rows(const Tensor& block, int64_t first, const Tensor& keys, const Tensor& values) {
  if (is_plain(keys) && is_plain(values)) {
    if (block.scalar_type() == at::kFloat) return store_plain<float>(block, first, keys, values);
    if (block.scalar_type() == at::kBFloat16) return store_plain<at::BFloat16>(block, first, keys, values);
  }
  rows_of(block, kKeys).narrow(0, first, keys.size(0)).copy_(keys.detach());
  rows_of(block, kValues).narrow(0, first, values.size(0)).copy_(values.detach());
}

Tensor all_keys(const KeyValueView& view, const Tensor& like) {
  return all_rows(view, kKeys, like);
}

Tensor all_values(const KeyValueView& view, const Tensor& like) {
  return all_rows(view, kValues, like);
}

}  // namespace lithe::ops
