#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <algorithm>

#include "base/error.h"
#include "plan/choosing.h"
#include "routing/index_tensor.h"
#include "routing/selector.h"
#include "routing/unit_rows.h"

namespace lithe::routing {
namespace {

/// The rows with the longest keys: sum of |k| over all heads.  keys: [rows, kv_heads, head_dim]
std::vector<int64_t> longest_keys(const Tensor& keys, int64_t count) {
  return highest(keys.abs().flatten(1).sum(1), std::min(count, keys.size(0)));
}

}  // namespace

/// DART (arXiv 2502.11494): rows that do not repeat a few pivots. Pivots are the kPivots rows of the group and the
/// kPivots text rows with the longest keys (sum of |k|) in the attention before. The group's pivots stay. Each pivot in
/// turn then adds the rows that are least like it by the cosine of the hidden states, the same number for each. What is
/// left over by the division goes to the first pivots, one row each. Computes 2 kPivots n products of two rows. Scope:
/// the prompt.
std::vector<int64_t> choose_without_duplicates(const Candidates& candidates) {
  require(candidates.keys && candidates.text_keys, Fault::bad_request, "layer ", candidates.layer,
          ": the plan chooses by keys, but no attention ran before this layer");
  if (candidates.keep == 0) return {};
  std::vector<int64_t> chosen = longest_keys(*candidates.keys, std::min(plan::kPivots, candidates.keep));
  std::vector<int64_t> text;
  for (const int64_t i : longest_keys(*candidates.text_keys, plan::kPivots))
    text.push_back(candidates.text[static_cast<size_t>(i)]);
  const UnitRows rows(candidates.hidden, candidates.rows), words(candidates.hidden, text);
  const Tensor pivots = at::cat({rows.unit().index_select(0, index_tensor(chosen, rows.unit())), words.unit()});
  const Tensor unlike = -pivots.matmul(rows.unit().t()).to(at::kCPU, at::kDouble);  // [pivots, group]

  std::vector<bool> taken(candidates.rows.size(), false);
  for (const int64_t row : chosen) taken[static_cast<size_t>(row)] = true;
  const int64_t count = pivots.size(0), rest = candidates.keep - std::ssize(chosen);
  for (int64_t pivot = 0; pivot < count; ++pivot) {
    Tensor scores = unlike.select(0, pivot).clone();
    double* data = scores.mutable_data_ptr<double>();
    for (size_t i = 0; i < taken.size(); ++i) {
      // Taken rows come last, and before them those that are not finite.
      if (taken[i] || !rows.finite(static_cast<int64_t>(i))) data[i] = taken[i] ? -8.0 : -4.0;
    }
    for (const int64_t row : highest(scores, rest / count + (pivot < rest % count ? 1 : 0))) {
      taken[static_cast<size_t>(row)] = true;
      chosen.push_back(row);
    }
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace lithe::routing
