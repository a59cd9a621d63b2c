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
  for (std::size_t index = 0; index < answers_; ++index) events += event(first_chunk(head_, index));
  return events;
}

std::string CompletionsForm::grown(std::size_t answer, const AnswerQueue::Piece& piece) {
  return event(text_chunk(head_, answer, piece));
}

std::string CompletionsForm::end(const session::Outcome& outcome) {
  std::string events = event(last_chunk(head_, 0, outcome.answer));
  for (std::size_t i = 0; i < outcome.more.size(); ++i) events += event(last_chunk(head_, 1 + i, outcome.more[i]));
  if (usage_at_end_) events += event(usage_chunk(head_, outcome));
  return events + event_of("[DONE]");
}

std::string CompletionsForm::failed(const Refusal& refusal) {
  return event(refusal.json()) + event_of("[DONE]");
}

}  // namespace lithe::serve
