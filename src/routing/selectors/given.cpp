#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "plan/rows.h"
#include "routing/selector.h"

namespace lithe::routing {

/// An oracle to compare with: first the rows that the request says it needs, then others, evenly spread. It knows what
/// no selector can know. Scope: the prompt, as each question needs others.
std::vector<int64_t> choose_given(const Candidates& candidates) {
  require(candidates.picture_scores.has_value(), Fault::bad_request, "layer ", candidates.layer,
          ": the plan keeps the vision tokens that a question needs, but nobody says which these are; choose another "
          "plan");
  const Tensor host = candidates.picture_scores->to(at::kCPU, at::kFloat).contiguous();
  const float* const scores = host.const_data_ptr<float>();
  std::vector<int64_t> chosen, others;
  for (int64_t i = 0; i < host.numel(); ++i) (scores[i] > 0 ? chosen : others).push_back(i);
  const int64_t first = std::min(std::ssize(chosen), candidates.keep);
  chosen.resize(static_cast<size_t>(first));
  for (const int64_t i : plan::spread_rows(std::ssize(others), candidates.keep - first))
    chosen.push_back(others[static_cast<size_t>(i)]);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace lithe::routing
