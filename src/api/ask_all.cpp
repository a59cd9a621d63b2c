#include "api/ask_all.h"

#include <functional>
#include <memory>
#include <stop_token>

#include "api/answer.h"
#include "api/guard.h"
#include "api/question.h"
#include "base/error.h"
#include "session/batch.h"

namespace lithe::api {
namespace {

/// What was thrown in place of an answer: a callback's exception as it is, everything else as Failure.
std::exception_ptr public_failure(const std::exception_ptr& thrown, bool by_callback) {
  if (by_callback) return thrown;
  try {
    guarded([&] { std::rethrow_exception(thrown); });
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

/// Runs questions as a batch. The ticket of each is its index.
class QuestionRun {
 public:
  QuestionRun(const session::Session& session, const std::vector<Question>& questions, const BatchOptions& options)
      : questions_(questions),
        options_(options),
        builder_(session),
        run_(session, {.sequences = options.at_a_time, .prefill_rows = options.prefill_rows, .bytes = options.bytes}),
        outcomes_(questions.size()),
        callback_threw_(questions.size(), false),
        cancels_(questions.size()) {}

  std::vector<Outcome> run() {
    require(options_.cancels.empty() || options_.cancels.size() == questions_.size(), Fault::bad_request, "There are ",
            options_.cancels.size(), " cancels for ", questions_.size(), " questions; give one for each, or none.");
    for (std::size_t next = 0; next < questions_.size() || !run_.idle();) {
      while (next < questions_.size() && run_.wants_more()) submit(next++);
      for (session::Outcome& outcome : run_.step()) take(outcome);
    }
    return std::move(outcomes_);
  }

 private:
  using CancelsTicket = std::stop_callback<std::function<void()>>;

  void submit(std::size_t index) {
    try {
      session::Question question = given_question(questions_[index]);
      session::AnswerOptions how = builder_.options(question);
      how.cancel = options_.cancel;
      if (options_.on_text) how.on_text = [this, index](const std::string& piece) { return hear(index, piece); };
      const auto ticket = static_cast<int64_t>(index);
      run_.submit(ticket, builder_.request(std::move(question)), std::move(how));
      if (options_.cancels.empty()) return;
      cancels_[index] =
          std::make_unique<CancelsTicket>(options_.cancels[index], [this, ticket] { run_.cancel(ticket); });
    } catch (...) {
      outcomes_[index].failure = public_failure(std::current_exception(), false);
    }
  }

  bool hear(std::size_t index, const std::string& piece) {
    callback_threw_[index] = true;
    const bool goes_on = options_.on_text(index, piece);
    callback_threw_[index] = false;
    return goes_on;
  }

  void take(session::Outcome& outcome) {
    const auto index = static_cast<std::size_t>(outcome.ticket);
    if (outcome.error)
      outcomes_[index].failure = public_failure(outcome.thrown, callback_threw_[index]);
    else
      outcomes_[index].answer = public_answer(std::move(outcome.answer));
  }

  const std::vector<Question>& questions_;
  const BatchOptions& options_;
  session::RequestBuilder builder_;
  session::BatchRun run_;
  std::vector<Outcome> outcomes_;
  std::vector<bool> callback_threw_;
  std::vector<std::unique_ptr<CancelsTicket>> cancels_;  // the last member: they reach the batch
};

}  // namespace

std::vector<Outcome> ask_all(const session::Session& session, const std::vector<Question>& questions,
                             const BatchOptions& options) {
  return QuestionRun(session, questions, options).run();
}

}  // namespace lithe::api
