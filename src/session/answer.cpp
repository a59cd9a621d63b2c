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
  Answering* const alone[] = {&answering};
  try {
    while (!answering.done()) run_pass(model, alone);
  } catch (const FailedPass& failure) {
    throw failure.error;
  }
  return answering.take();
}

}  // namespace lithe::session
