#include "base/error.h"
#include "routing/selector.h"

namespace lithe::routing {

/// FastV (arXiv 2403.06764): the rows that the last prompt row attended to most in the attention before this layer.
std::vector<int64_t> choose_by_attention(const Candidates& candidates) {
  require(candidates.attention.has_value(), Fault::bad_request, "layer ", candidates.layer,
          ": the plan chooses by attention, but no attention ran before this layer");
  return highest(*candidates.attention, candidates.keep);
}

}  // namespace lithe::routing
