#include "cli/answer_watch.h"

#include <fmt/format.h>

namespace lithe::cli {

std::string progress_text(const session::Progress& progress) {
  using Stage = session::Progress::Stage;
  switch (progress.stage) {
    case Stage::pictures:
      return fmt::format("picture {} of {}, layer {} of {}", progress.item + 1, progress.items, progress.done,
                         progress.total);
    case Stage::prefill:
      return fmt::format("prompt of {} tokens, layer {} of {}", progress.rows, progress.done, progress.total);
    case Stage::decode:
      return fmt::format("token {} of at most {}", progress.done, progress.total);
  }
  return {};
}

void AnswerWatch::take(const session::Progress& progress) {
  interrupt_.poll();
  if (!text_) line_.update(progress_text(progress));
}

void AnswerWatch::text_begins() {
  text_ = true;
  line_.wipe();
}

}  // namespace lithe::cli
