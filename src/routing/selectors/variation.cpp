#include <ATen/TensorOperators.h>

#include "base/error.h"
#include "routing/index_tensor.h"
#include "routing/selector.h"

namespace lithe::routing {

/// V2Drop (arXiv 2509.01552): the rows that the layer before changed most, score = |x_l - x_(l-1)|_2. No product is
/// computed, but the input of one layer is held for one layer longer. Scope: the group.
std::vector<int64_t> choose_by_variation(const Candidates& candidates) {
  require(candidates.before.has_value(), Fault::bad_request, "layer ", candidates.layer,
          ": the plan chooses by what the layer before changed, but no layer ran before");
  const Tensor now = candidates.hidden.detach().index_select(0, index_tensor(candidates.rows, candidates.hidden));
  return highest((now - *candidates.before).norm(2, -1), candidates.keep);
}

}  // namespace lithe::routing
