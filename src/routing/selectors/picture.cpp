#include "base/error.h"
#include "routing/selector.h"

namespace lithe::routing {

/// `class_attention`, `visionzip`, `prumerge`, `pooled`: the rows that the vision side scored highest. What a score
/// means, and what was merged, is in models/picture_choice.h. Scope: the group.
std::vector<int64_t> choose_by_picture(const Candidates& candidates) {
  require(candidates.picture_scores.has_value(), Fault::bad_request, "layer ", candidates.layer,
          ": the plan chooses by what the vision tower saw, but these rows did not come from it; choose another plan");
  return highest(*candidates.picture_scores, candidates.keep);
}

}  // namespace lithe::routing
