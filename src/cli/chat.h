#pragma once

#include <cstdint>

#include "cli/request.h"
#include "cli/sampling.h"
#include "session/session.h"

namespace lithe::cli {

/// How a chat answers.
struct ChatOptions {
  QuestionOptions question;  ///< Its pictures are attached to the first message.
  SamplingOptions sampling;
  uint64_t seed = 0;
  bool verbose = false;
};

/// A conversation on the terminal, until Ctrl-D. Answers go to stdout, everything else to stderr. Throws Error for what
/// the flags ask; what is typed gets its sentence and the chat goes on.
int run_chat(const session::Session& session, const ChatOptions& options);

}  // namespace lithe::cli
