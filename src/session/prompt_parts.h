#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "models/model.h"
#include "plan/plan.h"
#include "session/prompt_rows.h"
#include "session/read_prompt.h"

namespace lithe::session {

struct ReadPrompt {
  std::shared_ptr<const plan::Plan> plan;
  std::vector<int64_t> ids;
  std::vector<int64_t> given;  ///< Tokens of Request::given_answer.
  PromptLength length;
};

/// As of a session.
std::shared_ptr<const ReadPrompt> read_prompt(const models::Model& model, const Request& request);

}  // namespace lithe::session
