#include "eval/ask.h"

#include <iterator>
#include <map>
#include <numeric>
#include <utility>

#include "eval/kept_tokens.h"
#include "session/errors.h"
#include "text/message.h"

namespace lithe::eval {
namespace {

class Asking {
 public:
  Asking(const session::Session& session, const tasks::Task& task, TaskRun& run, const AskOptions& options)
      : session_(session), task_(task), run_(run), options_(options), batch_(session, options.limits) {}

  bool run() {
    bool more = true;
    while ((more || !batch_.idle()) && !cancelled()) {
      while (more && batch_.wants_more() && !cancelled()) more = submit_next();
      if (cancelled()) break;
      for (const session::Outcome& outcome : batch_.step()) take(outcome);
      if (options_.on_step) options_.on_step(batch_.state());
    }
    return !more && batch_.idle() && !cut_short_;
  }

 private:
  bool cancelled() const { return options_.how.cancel.stop_requested(); }

  /// False if every question has been asked.
  bool submit_next() {
    const std::optional<int64_t> i = run_.next();
    if (!i) return false;
    try {
      session::naming_failures([&] { submit(*i); });
    } catch (const Error& error) {
      asked_.erase(*i);
      run_.fail(*i, task_.id(*i), error);
    }
    return true;
  }

  void submit(int64_t i) {
    tasks::Question& question = (asked_[i] = task_.question(i)).question;
    session_.check_pictures(question.images.size());
    session::Request request{.plan = options_.plan, .needed = question.needed};
    if (options_.gold) request.given_answer = question.target;
    for (const data::Turn& turn : question.turns) request.messages.push_back(text::text_message(turn.role, turn.text));
    request.images = std::exchange(question.images, {});
    batch_.submit(i, std::move(request), options_.how);
  }

  void take(const session::Outcome& outcome) {
    const auto asked = asked_.extract(outcome.ticket);
    const session::Answer& answer = outcome.answer;
    if (outcome.error) return run_.fail(outcome.ticket, asked.mapped().question.id, *outcome.error);
    if (answer.stop == session::StopReason::cancelled) {  // the next call asks it again
      cut_short_ = true;
      return;
    }
    Json more = Json::object();
    tasks::Response response;
    if (options_.gold) {
      response.loss = tasks::AnswerLoss{.nll = std::accumulate(answer.losses.begin(), answer.losses.end(), 0.0),
                                        .tokens = std::ssize(answer.losses)};
    } else {
      response.text = task_.kept(answer.text);
      more = {{"tokens", answer.tokens.size()}, {"stop", session::name_of(answer.stop)}};
    }
    if (const auto kept = kept_tokens(answer, asked.mapped().question.needed)) more.update(to_json(*kept));
    run_.answer(outcome.ticket, asked.mapped(), response, more);
  }

  const session::Session& session_;
  const tasks::Task& task_;
  TaskRun& run_;
  const AskOptions& options_;
  session::BatchRun batch_;
  std::map<int64_t, AskedQuestion> asked_;  ///< Those that wait or run; the requests hold their pictures.
  bool cut_short_ = false;
};

}  // namespace

bool ask_all(const session::Session& session, const tasks::Task& task, TaskRun& run, const AskOptions& options) {
  return Asking(session, task, run, options).run();
}

}  // namespace lithe::eval
