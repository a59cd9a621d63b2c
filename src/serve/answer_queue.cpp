#include "serve/answer_queue.h"

#include <utility>

namespace lithe::serve {

bool AnswerQueue::push(const std::string& piece) {
  {
    const std::lock_guard lock(mutex_);
    if (news_.text.size() + piece.size() > kMostBytes) return false;
    news_.text += piece;
  }
  wake_();
  return true;
}

void AnswerQueue::end(session::Outcome outcome) {
  {
    const std::lock_guard lock(mutex_);
    news_.outcome = std::move(outcome);
  }
  wake_();
}

AnswerQueue::News AnswerQueue::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

}  // namespace lithe::serve
