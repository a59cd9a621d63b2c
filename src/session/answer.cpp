#include "session/answer.h"

#include "plan/validate.h"
#include "session/answering.h"

namespace lithe::session {

const plan::Plan& plan_of(const models::Model& model, const Request& request) {
  if (!request.plan) return model.plan;
  plan::validate(*request.plan, model.facts);
  return *request.plan;
}

Answer run_answer(const models::Model& model, const Request& request, const AnswerOptions& options) {
  Answering answering(model, request, options);
  run_alone(model, answering);
  return answering.take();
}

}  // namespace lithe::session
