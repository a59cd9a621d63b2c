#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cosine_similarity.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>

#include <limits>

#include "routing/index_tensor.h"
#include "routing/selector.h"

namespace lithe::routing {

/// Drops rows that repeat the row before them: kept are those with the lowest cosine similarity to their predecessor in
/// the group. Linear in the rows; the first row always counts as new.
std::vector<int64_t> choose_by_similarity(const Candidates& candidates) {
  const int64_t count = static_cast<int64_t>(candidates.rows.size());
  const Tensor group = candidates.hidden.detach().index_select(0, index_tensor(candidates.rows, candidates.hidden));
  const Tensor first = at::full({1}, std::numeric_limits<float>::infinity(), group.options());
  if (count == 1) return highest(first, candidates.keep);
  const Tensor likeness = at::cosine_similarity(group.narrow(0, 1, count - 1), group.narrow(0, 0, count - 1), 1, 1e-8);
  return highest(at::cat({first, -likeness}), candidates.keep);
}

}  // namespace lithe::routing
