#include "eval/ask.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "eval/kept_tokens.h"
#include "session/errors.h"
#include "session/kept_per_layer.h"
#include "text/message.h"

namespace lithe::eval {
namespace {

/// What an answer's prompt cost: times are those of the passes that it shared with other questions.
Json work_of(const session::Answer& answer) {
  const session::Timings& times = answer.timings;
  return {{"vision_tokens", times.vision_rows}, {"kept", session::kept_per_layer(answer)},
          {"flops", answer.counted.flops},      {"dense_flops", answer.counted.dense_flops},
          {"image_ms", times.image_ms},         {"prefill_ms", times.prefill_ms},
          {"decode_ms", times.decode_ms}};
}

/// Rows of pictures that are kept for the other plans.
constexpr int64_t kPictureBytes = int64_t{1} << 29;

session::BatchLimits with_pictures(session::BatchLimits limits, size_t plans) {
  if (plans > 1) limits.picture_cache_bytes = std::max(limits.picture_cache_bytes, kPictureBytes);
  return limits;
}

class Asking {
 public:
  Asking(const session::Session& session, const tasks::Task& task, std::span<const PlannedRun> runs,
         const AskOptions& options)
      : session_(session),
        task_(task),
        runs_(runs),
        options_(options),
        batch_(session, with_pictures(options.limits, runs.size())) {
    for (const PlannedRun& one : runs_) next_.push_back(one.run->next());
  }

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

  /// The first question that a run has still to ask, under the plans of all runs that have. False if there is none.
  bool submit_next() {
    std::optional<int64_t> i;
    for (const std::optional<int64_t>& next : next_)
      if (next && (!i || *next < *i)) i = next;
    if (!i) return false;
    std::optional<AskedQuestion> asked;
    for (size_t r = 0; r < runs_.size(); ++r) {
      if (next_[r] != i) continue;
      next_[r] = runs_[r].run->next();
      try {
        session::naming_failures([&] {
          if (!asked) asked.emplace(task_.question(*i));
          submit(*i, r, *asked);
        });
      } catch (const Error& error) {
        asked_.erase(ticket(*i, r));
        runs_[r].run->fail(*i, task_.id(*i), error);
      }
    }
    return true;
  }

  int64_t ticket(int64_t i, size_t r) const { return i * std::ssize(runs_) + static_cast<int64_t>(r); }

  void submit(int64_t i, size_t r, const AskedQuestion& asked) {
    const tasks::Question& question = asked.question;
    session_.check_pictures(question.images.size());
    session::Request request{.plan = runs_[r].plan, .needed = question.needed};
    if (options_.gold) request.given_answer = question.target;
    for (const data::Turn& turn : question.turns) request.messages.push_back(text::text_message(turn.role, turn.text));
    request.images = question.images;
    AskedQuestion& kept = asked_[ticket(i, r)] = asked;
    kept.question.images.clear();
    batch_.submit(ticket(i, r), std::move(request), options_.how);
  }

  void take(const session::Outcome& outcome) {
    const auto asked = asked_.extract(outcome.ticket);
    const session::Answer& answer = outcome.answer;
    const int64_t i = outcome.ticket / std::ssize(runs_);
    TaskRun& run = *runs_[static_cast<size_t>(outcome.ticket % std::ssize(runs_))].run;
    if (outcome.error) return run.fail(i, asked.mapped().question.id, *outcome.error);
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
    more.update(work_of(answer));
    if (const auto kept = kept_tokens(answer, asked.mapped().question.needed)) more.update(to_json(*kept));
    run.answer(i, asked.mapped(), response, more);
  }

  const session::Session& session_;
  const tasks::Task& task_;
  const std::span<const PlannedRun> runs_;
  const AskOptions& options_;
  session::BatchRun batch_;
  std::vector<std::optional<int64_t>> next_;  ///< [runs] the question that it asks next.
  std::map<int64_t, AskedQuestion> asked_;    ///< By ticket; the requests hold their pictures.
  bool cut_short_ = false;
};

}  // namespace

bool ask_all(const session::Session& session, const tasks::Task& task, std::span<const PlannedRun> runs,
             const AskOptions& options) {
  return Asking(session, task, runs, options).run();
}

}  // namespace lithe::eval
