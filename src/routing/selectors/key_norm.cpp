#include <ATen/TensorOperators.h>

#include "base/error.h"
#include "routing/selector.h"

namespace lithe::routing {

/// The rows whose keys are short, in the attention before this layer: score = -|mean over heads of k|_2. Rows with
/// short keys tend to get more attention (arXiv 2406.11430); ViTCoP (arXiv 2601.17818) ranks vision rows so. No product
/// is computed. Scope: the group.
std::vector<int64_t> choose_by_key_norm(const Candidates& candidates) {
  require(candidates.keys.has_value(), Fault::bad_request, "layer ", candidates.layer,
          ": the plan chooses by the norm of keys, but no attention ran before this layer");
  return highest(-candidates.keys->mean(1).norm(2, -1), candidates.keep);
}

}  // namespace lithe::routing
