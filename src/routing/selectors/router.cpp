#include "base/error.h"
#include "routing/selector.h"

namespace lithe::routing {

/// p-MoD: the rows with the highest router weight.
std::vector<int64_t> choose_by_router(const Candidates& candidates) {
  require(candidates.weight.has_value(), Fault::bad_request, "layer ", candidates.layer,
          ": the plan chooses by router, but this layer has none");
  return highest(*candidates.weight, candidates.keep);
}

}  // namespace lithe::routing
