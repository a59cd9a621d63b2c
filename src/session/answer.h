#pragma once

#include <memory>

#include "models/model.h"
#include "session/session.h"

namespace lithe::session {

/// Session::answer, over a model.
Answer run_answer(const models::Model& model, const Request& request, const AnswerOptions& options);

/// The plan that a request runs under: its own, validated against the model, or that of its LoRA, or the model's.
/// Outlives them.
std::shared_ptr<const plan::Plan> plan_of(const models::Model& model, const Request& request);

}  // namespace lithe::session
