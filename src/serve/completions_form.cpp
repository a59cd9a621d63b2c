#include "serve/completions_form.h"

#include "serve/response.h"

namespace lithe::serve {
namespace {

std::string event(const Json& json) {
  return event_of(json_text(json));
}

}  // namespace

std::string CompletionsForm::begin() {
  std::string events;
  for (std::size_t index = 0; index < has_ended_.size(); ++index) events += event(first_chunk(head_, index));
  return events;
}

std::string CompletionsForm::grown(std::size_t answer, const AnswerQueue::Piece& piece) {
  return event(text_chunk(head_, answer, piece));
}

std::string CompletionsForm::ended(std::size_t answer, const session::Answer& what) {
  if (has_ended_[answer]) return {};
  has_ended_[answer] = true;
  return event(last_chunk(head_, answer, what));
}

std::string CompletionsForm::end(const Outcomes& outcomes) {
  std::string events;
  std::size_t answer = 0;
  for (const session::Outcome& outcome : outcomes) {
    events += ended(answer++, outcome.answer);
    for (const session::Answer& one : outcome.more) events += ended(answer++, one);
  }
  if (usage_at_end_) events += event(usage_chunk(head_, outcomes));
  return events + event_of("[DONE]");
}

std::string CompletionsForm::failed(const Refusal& refusal) {
  return event(refusal.json()) + event_of("[DONE]");
}

}  // namespace lithe::serve
