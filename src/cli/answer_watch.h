#pragma once

#include <string>

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "session/session.h"

namespace lithe::cli {

/// "picture 1 of 2, layer 5 of 23", "prompt of 616 tokens, layer 3 of 32", "token 12 of at most 512"
std::string progress_text(const session::Progress& progress);

/// Shows on stderr how far an answer is, and ends it on Ctrl-C.
class AnswerWatch {
 public:
  AnswerWatch() : line_("answer") {}
  AnswerWatch(const AnswerWatch&) = delete;
  AnswerWatch& operator=(const AnswerWatch&) = delete;

  std::stop_token cancel() const { return interrupt_.token(); }
  /// For on_progress.
  void take(const session::Progress& progress);
  /// Before text is written: the line goes, and does not come back.
  void text_begins();

 private:
  InterruptGuard interrupt_;
  Progress line_;
  bool text_ = false;
};

}  // namespace lithe::cli
