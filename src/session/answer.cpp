#include "session/answer.h"

#include "models/lora_over.h"
#include "plan/validate.h"
#include "session/answering.h"
#include "session/watch.h"

namespace lithe::session {

std::shared_ptr<const plan::Plan> plan_of(const models::Model& model, const Request& request) {
  if (request.plan) plan::validate(*request.plan, model.facts);
  const bool has_own = request.lora && request.lora->plan;
  return std::make_shared<const plan::Plan>(request.plan ? *request.plan : has_own ? *request.lora->plan : model.plan);
}

Answer run_answer(const models::Model& model, const Request& request, const AnswerOptions& options) {
  try {
    Answering answering(model, request, options);
    run_alone(model, answering);
    return answering.take();
  } catch (const Cancelled& end) {
    if (end.thrown) std::rethrow_exception(end.thrown);
    return {.stop = StopReason::cancelled};
  }
}

}  // namespace lithe::session
