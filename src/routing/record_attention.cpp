#include "routing/record_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

#include "ops/attend.h"
#include "routing/index_tensor.h"

namespace lithe::routing {
namespace {

/// The query rows of a sequence's prompt.
struct PromptQueries {
  int64_t begin = 0, end = 0;
};

/// Those of them that stand at one of these positions.
std::vector<int64_t> standing_at(const std::vector<int64_t>& positions, const PromptQueries& queries,
                                 const AttentionPass& pass) {
  std::vector<int64_t> rows;
  for (int64_t row = queries.begin; row < queries.end; ++row) {
    if (std::binary_search(positions.begin(), positions.end(), pass.positions[static_cast<size_t>(row)]))
      rows.push_back(row);
  }
  return rows;
}

/// The attention weights of these query rows, their mean, by position in a sequence of `positions` positions; 0 for
/// keys that none of them sees.
Tensor mean_attention(const AttentionPass& pass, const std::vector<int64_t>& rows, int64_t positions) {
  const nn::Attention& attention = pass.attention;
  const ops::KeyValueView& view = pass.seen;
  const Tensor queries = pass.queries.detach(), all_keys = ops::all_keys(view, queries).detach();
  std::vector<int64_t> seen;
  for (int64_t key = 0; key < view.rows(); ++key) seen.push_back(view.position(key));
  const Tensor index = index_tensor(seen, queries);
  Tensor sum = at::zeros({positions}, queries.options().dtype(at::kFloat));
  for (const int64_t row : rows) {
    const int64_t position = pass.positions[static_cast<size_t>(row)];
    const int64_t begin = attention.window ? view.rows_up_to(position - *attention.window) : 0;
    const int64_t end = attention.causal ? view.rows_up_to(position) : view.rows();
    if (begin >= end) continue;
    const Tensor keys = all_keys.narrow(0, begin, end - begin);
    const Tensor weights = ops::attention_of_row(queries.select(0, row), keys, attention.scale());
    sum = at::index_add(sum, 0, index.narrow(0, begin, end - begin), weights);
  }
  return rows.size() == 1 ? sum : sum / static_cast<double>(rows.size());
}

}  // namespace

void record_attention(const AttentionPass& pass, const SiteContext& context, size_t sequence, Recorded& recorded) {
  const Watch& watch = context.sets.watched[sequence];
  const Batch& batch = context.batch;
  if (!watch.any() || batch.sequences[sequence].decodes()) return;
  const Rows& rows = context.sets.query;
  const int64_t begin = rows.offsets[sequence];
  const PromptQueries prompt{begin, begin + prompt_rows(rows, context, sequence)};
  const int64_t last = batch.offsets[sequence + 1] - 1;
  if (prompt.begin < prompt.end && watch.row != Watch::Row::none) {
    const int64_t row = watch.row == Watch::Row::first ? prompt.begin : prompt.end - 1;
    recorded.attention = mean_attention(pass, {row}, batch.order[static_cast<size_t>(last)] + 1);
  }
  if (prompt.begin < prompt.end && watch.text) {
    std::vector<int64_t> raters = standing_at(watch.raters, prompt, pass);
    if (raters.empty()) raters = {prompt.end - 1};
    recorded.text_attention = mean_attention(pass, raters, batch.order[static_cast<size_t>(last)] + 1);
  }
  if (!watch.keys) return;
  const std::vector<int64_t>& offsets = context.sets.key_value.offsets;
  const ops::FreshRows own = pass.offered.some(offsets[sequence], offsets[sequence + 1] - offsets[sequence]);
  recorded.keys = own.keys.detach();
  recorded.key_positions.assign(own.positions.begin(), own.positions.end());
}

Tensor keys_at(const Recorded& recorded, const std::vector<int64_t>& positions) {
  const Tensor& keys = *recorded.keys;
  const Tensor unknown =
      at::full({1, keys.size(1), keys.size(2)}, std::numeric_limits<double>::quiet_NaN(), keys.options());
  std::vector<int64_t> rows;
  for (const int64_t position : positions) {
    const auto found = std::lower_bound(recorded.key_positions.begin(), recorded.key_positions.end(), position);
    const bool known = found != recorded.key_positions.end() && *found == position;
    rows.push_back(known ? found - recorded.key_positions.begin() : keys.size(0));
  }
  return at::cat({keys, unknown}).index_select(0, index_tensor(rows, keys));
}

}  // namespace lithe::routing
