#include "session/needed.h"

#include <iterator>
#include <memory>
#include <vector>

#include "base/error.h"
#include "plan/rows.h"
#include "routing/selector.h"

namespace lithe::session {
namespace {

bool asks(const plan::Plan& plan) {
  return plan::any_rule(plan, [](const plan::Rule& rule) {
    const routing::Selector* selector = routing::find_selector(rule.by);
    return selector && selector->facts->reads == plan::Reads::given;
  });
}

}  // namespace

void require_needed(const Request& request, const plan::Plan& plan) {
  const bool known = request.images.empty() || request.needed.size() == request.images.size();
  require(known || !asks(plan), Fault::bad_request, "the plan '", plan.name,
          "' keeps the vision tokens that a question needs, and this question does not say which these are; use data ",
          "whose records have the key \"needed\", or another plan");
}

void score_needed(const Request& request, const plan::Plan& plan, PromptRows& prompt) {
  if (request.images.empty() || !asks(plan)) return;
  const auto scores = std::make_shared<std::vector<float>>(prompt.kinds.size(), 0.0f);
  for (size_t i = 0; i < request.needed.size(); ++i) {
    const int64_t rows = std::ssize(prompt.images[i].kinds);
    for (const int64_t token : request.needed[i]) {
      require(token >= 0 && token < rows, Fault::bad_request, "the question needs vision token ", token, " of picture ",
              i + 1, ", whose tokens are numbered from 0 to ", rows - 1);
      (*scores)[static_cast<size_t>(prompt.image_first_row[i] + token)] = 1;
    }
  }
  prompt.picture_scores = scores;
}

}  // namespace lithe::session
