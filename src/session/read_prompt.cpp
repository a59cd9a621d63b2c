#include "session/read_prompt.h"

#include "session/answer.h"
#include "session/errors.h"
#include "session/given_answer.h"
#include "session/needed.h"
#include "session/prompt_parts.h"

namespace lithe::session {
namespace {

std::shared_ptr<const plan::Plan> checked_plan(const models::Model& model, const Request& request) {
  std::shared_ptr<const plan::Plan> plan = plan_of(model, request);
  require_needed(request, *plan);
  return plan;
}

}  // namespace

std::shared_ptr<const ReadPrompt> read_prompt(const models::Model& model, const Request& request) {
  return naming_failures([&] {
    std::vector<int64_t> ids = prompt_ids(model, request, request.images.size());
    std::vector<int64_t> given = given_answer_ids(model, request, ids);
    const PromptLength length(model, ids);
    return std::make_shared<const ReadPrompt>(
        ReadPrompt{checked_plan(model, request), std::move(ids), std::move(given), length});
  });
}

std::shared_ptr<const ReadPrompt> read_prompt(const Session& session, const Request& request) {
  return read_prompt(session.model(), request);
}

void check_plan(const Session& session, const Request& request) {
  naming_failures([&] { checked_plan(session.model(), request); });
}

}  // namespace lithe::session
