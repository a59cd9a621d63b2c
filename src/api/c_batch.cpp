#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/c_handles.h"

using lithe::api::call;
using lithe::api::given;
using lithe::api::options_of;

namespace {

/// The outcome of one question.
struct Ended {
  lithe_status status = LITHE_OK;
  std::string sentence;
  lithe_answer answer;
};

Ended ended(lithe::Outcome&& outcome) {
  if (outcome.answer) return {LITHE_OK, {}, {std::move(*outcome.answer)}};
  Ended end;
  end.status = call([&] { std::rethrow_exception(outcome.failure); });
  end.sentence = lithe_last_error();
  return end;
}

std::stop_token token_of(const lithe_cancel* cancel) {
  return cancel == nullptr ? std::stop_token() : cancel->source.get_token();
}

lithe::BatchOptions batch_of(const lithe_batch_options& options, size_t questions) {
  lithe::BatchOptions wanted{.at_a_time = options.at_a_time, .prefill_rows = options.prefill_rows};
  if (options.bytes != 0) wanted.bytes = options.bytes;
  wanted.cancel = token_of(options.cancel);
  for (size_t i = 0; options.cancels != nullptr && i < questions; ++i)
    wanted.cancels.push_back(token_of(options.cancels[i]));
  if (options.on_text != nullptr) {
    wanted.on_text = [options](size_t question, std::string_view piece) {
      const std::string closed(piece);
      return options.on_text(question, closed.c_str(), closed.size(), options.user) != 0;
    };
  }
  return wanted;
}

}  // namespace

struct lithe_outcomes {
  std::vector<Ended> all;
};

namespace {

const Ended* outcome_at(const lithe_outcomes* outcomes, size_t index) {
  return outcomes == nullptr || index >= outcomes->all.size() ? nullptr : &outcomes->all[index];
}

}  // namespace

lithe_status lithe_ask_all(lithe_model* model, const lithe_question* const* questions, size_t count,
                           const lithe_batch_options* options, lithe_outcomes** outcomes) {
  return call([&] {
    given(outcomes, "outcomes");
    std::vector<lithe::Question> asked;
    for (size_t i = 0; i < count; ++i)
      asked.push_back(given((&given(questions, "questions"))[i], "questions").question);
    const lithe_batch_options wanted = options_of(options, LITHE_BATCH_OPTIONS_INIT, "lithe_batch_options");
    auto made = std::make_unique<lithe_outcomes>();
    for (lithe::Outcome& outcome : given(model, "model").model.ask_all(asked, batch_of(wanted, count)))
      made->all.push_back(ended(std::move(outcome)));
    *outcomes = made.release();
  });
}

lithe_status lithe_outcome_status(const lithe_outcomes* outcomes, size_t index) {
  const Ended* const end = outcome_at(outcomes, index);
  return end == nullptr ? LITHE_BAD_REQUEST : end->status;
}
const char* lithe_outcome_error(const lithe_outcomes* outcomes, size_t index) {
  const Ended* const end = outcome_at(outcomes, index);
  return end == nullptr ? "" : end->sentence.c_str();
}
const lithe_answer* lithe_outcome_answer(const lithe_outcomes* outcomes, size_t index) {
  const Ended* const end = outcome_at(outcomes, index);
  return end == nullptr || end->status != LITHE_OK ? nullptr : &end->answer;
}
void lithe_outcomes_free(lithe_outcomes* outcomes) {
  delete outcomes;
}
