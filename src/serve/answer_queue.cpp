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

void AnswerQueue::end_one(std::size_t answer, session::Answer what) {
  {
    const std::lock_guard lock(mutex_);
    news_.ended.push_back({answer, std::move(what)});
  }
  wake_();
}

void AnswerQueue::end(std::size_t prompt, session::Outcome outcome) {
  {
    const std::lock_guard lock(mutex_);
    if (open_ == 0) return;  // another prompt has failed
    const bool answered = !outcome.error && outcome.answer.stop != session::StopReason::cancelled;
    open_ = answered ? open_ - 1 : 0;
    if (open_ > 0) tell_ended(prompt, outcome);
    if (!answered) outcomes_.assign(1, {});
    outcomes_[answered ? prompt : 0] = std::move(outcome);
    if (open_ == 0) news_.outcomes = std::move(outcomes_);
  }
  wake_();
}

void AnswerQueue::tell_ended(std::size_t prompt, const session::Outcome& outcome) {
  std::size_t answer = prompt * (1 + outcome.more.size());
  news_.ended.push_back({answer, outcome.answer});
  for (const session::Answer& one : outcome.more) news_.ended.push_back({++answer, one});
}

AnswerQueue::News AnswerQueue::take() {
  const std::lock_guard lock(mutex_);
  bytes_ = 0;
  return std::exchange(news_, {});
}

}  // namespace lithe::serve
