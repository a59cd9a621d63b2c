#include "serve/answer_queue.h"

#include <utility>

namespace lithe::serve {

AnswerQueue::Piece& AnswerQueue::piece_of(std::size_t answer) {
  if (news_.pieces.size() <= answer) news_.pieces.resize(answer + 1);
  return news_.pieces[answer];
}

bool AnswerQueue::push(std::size_t answer, const std::string& piece) {
  {
    const std::lock_guard lock(mutex_);
    if (bytes_ + piece.size() > kMostBytes) return false;
    bytes_ += piece.size();
    piece_of(answer).text += piece;
  }
  wake_();
  return true;
}

void AnswerQueue::push(std::size_t answer, const session::TokenRating& rating) {
  const std::lock_guard lock(mutex_);
  bytes_ += sizeof rating + rating.best.size() * sizeof rating.best.front();
  piece_of(answer).ratings.push_back(rating);
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
  bytes_ = 0;
  return std::exchange(news_, {});
}

}  // namespace lithe::serve
