#pragma once

#include <optional>
#include <string>

#include "tasks/task.h"

namespace lithe::eval {

/// A language model behind an interface like OpenAI's.
struct ChatJudge {
  std::string url;    ///< "http://localhost:8000/v1": what stands before /chat/completions, which may be there too.
  std::string model;  ///< Its name there.
  std::string key;    ///< Empty: none is sent.
};

/// Asks it, with temperature 0. Throws Error{bad_request} if the address is not one of http or https; what it gives
/// throws that if there is no answer, so that no score is made up.
tasks::Judge judge_of(const ChatJudge& judge);

/// The judge of a protocol by its name, as lmms-eval has it.
const char* usual_judge(tasks::Protocol protocol);

}  // namespace lithe::eval
