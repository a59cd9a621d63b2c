#pragma once

#include "session/request.h"

namespace lithe::cli {

/// How a chat answers.
struct ChatOptions {
  session::Question question;  ///< Without a prompt. Its pictures are attached to the first message.
  bool verbose = false;
};

/// A conversation on the terminal, until Ctrl-D. Answers go to stdout, everything else to stderr. Throws Error for what
/// the flags ask; what is typed gets its sentence and the chat goes on.
int run_chat(const session::Session& session, const ChatOptions& options);

}  // namespace lithe::cli
