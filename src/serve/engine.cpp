#include "serve/engine.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "serve/refusal.h"
#include "session/errors.h"
#include "session/loras.h"

namespace lithe::serve {
namespace {

std::string lora_name(const session::Request& request) {
  return request.lora ? session::facts_of(*request.lora).name : "";
}

/// In place of an answer.
void refuse(session::Outcome& outcome, const Refusal& refusal) {
  outcome.error.emplace(Fault::bad_request, refusal.what());
  outcome.thrown = std::make_exception_ptr(refusal);
}

/// If a picture is refused, its field is to blame.
void blame_picture(session::Outcome& outcome, const std::vector<std::string>& fields) {
  try {
    std::rethrow_exception(outcome.thrown);
  } catch (const session::PictureError& error) {
    const bool bad = error.fault() == Fault::bad_request || error.fault() == Fault::bad_file;
    if (bad && error.picture() < fields.size()) refuse(outcome, Refusal(400, error.what(), fields[error.picture()]));
  } catch (...) {
  }
}

}  // namespace

Engine::Engine(const session::Session& session, const session::BatchLimits& batch, const EngineLimits& limits,
               Metrics& metrics)
    : session_(session), batch_limits_(batch), limits_(limits), metrics_(metrics) {
  batch_.emplace(session_, batch_limits_);
}

bool Engine::has_room(const std::string& client, int64_t requests) const {
  const bool only_one = requests == 1 && !of_clients_.contains(client);
  const int64_t most = batch_limits_.sequences + limits_.max_queue - (only_one ? 0 : limits_.kept_free());
  return !deadline_ && open_count_ + requests <= most;
}

bool Engine::has_room(const std::string& client) const {
  const std::lock_guard lock(mutex_);
  return has_room(client, 1);
}

bool Engine::stopping() const {
  const std::lock_guard lock(mutex_);
  return deadline_.has_value();
}

bool Engine::submit(std::vector<Submission> call, const std::shared_ptr<AnswerQueue>& queue) {
  {
    const std::lock_guard lock(mutex_);
    const std::string client = call.front().turn.client;
    if (!has_room(client, std::ssize(call))) return false;
    open_count_ += std::ssize(call);
    of_clients_[client] += std::ssize(call);
    const bool timed = limits_.request.count() > 0;
    const Clock::time_point due = timed ? Clock::now() + limits_.request : Clock::time_point::max();
    for (Submission& submission : call)
      jobs_.push_back({.submission = std::move(submission), .queue = queue, .since = {}, .due = due});
    show_load();
  }
  changed_.notify_one();
  return true;
}

void Engine::stop(std::chrono::milliseconds patience) {
  {
    const std::lock_guard lock(mutex_);
    const Clock::time_point deadline = Clock::now() + patience;
    deadline_ = deadline_ ? std::min(*deadline_, deadline) : deadline;
  }
  changed_.notify_one();
}

void Engine::run() {
  while (wait()) {
    take_jobs();
    cut_if_late();
    tell_load();
    step();
  }
}

/// Until there is something to do. False: everything is done, and the engine stops.
bool Engine::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !jobs_.empty() || !open_.empty() || deadline_; });
  return !jobs_.empty() || !open_.empty();
}

/// The batch gets all of them at once, since it decides whose turn is next.
void Engine::take_jobs() {
  while (true) {
    std::unique_lock lock(mutex_);
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    ++in_batch_.waiting;
    lock.unlock();
    begin(std::move(job));
  }
}

/// Tells the call's queue what happens to answer number `answer` to this prompt.
void Engine::listen(session::AnswerOptions& options, std::size_t answer, int64_t ticket) {
  const std::shared_ptr<AnswerQueue> queue = open_.at(ticket).queue;
  const std::size_t of_call = open_.at(ticket).first_answer + answer;
  options.cancel = queue->token();
  options.on_text = [queue, of_call](const std::string& piece) { return queue->push(of_call, piece); };
  options.on_rating = [queue, of_call](const session::TokenRating& token) { queue->push(of_call, token); };
  options.on_progress = [this, answer, ticket, last = Stopwatch()](const session::Progress& progress) mutable {
    if (progress.stage == session::Progress::Stage::decode) {
      if (progress.done > 1) metrics_.next_token(last.elapsed_ms() / 1e3);
      last = {};
    }
    hear(ticket, answer, progress);
  };
}

void Engine::hear(int64_t ticket, std::size_t answer, const session::Progress& progress) {
  using Stage = session::Progress::Stage;
  Open& open = open_.at(ticket);
  if (progress.stage != Stage::pictures) open.running = true;
  if (progress.stage == Stage::prefill && !std::exchange(told_, true)) tell_load();
  if (progress.stage == Stage::decode && answer == 0 && !open.first_token_seconds) {
    open.first_token_seconds = open.since.elapsed_ms() / 1e3;
    metrics_.first_token(*open.first_token_seconds);
  }
  cut_if_late();
}

void Engine::begin(Job job) {
  const int64_t ticket = next_ticket_++;
  Submission& submission = job.submission;
  open_.emplace(ticket, Open{.queue = std::move(job.queue),
                             .since = job.since,
                             .due = job.due,
                             .picture_fields = std::move(submission.picture_fields),
                             .prompt = submission.number,
                             .first_answer = submission.number * submission.answers.size(),
                             .client = submission.turn.client,
                             .lora = lora_name(submission.request),
                             .first_token_seconds = {}});
  next_due_ = std::min(next_due_, job.due);
  for (std::size_t i = 0; i < submission.answers.size(); ++i) listen(submission.answers[i], i, ticket);
  batch_->submit_several(ticket, std::move(submission.request), std::move(submission.answers),
                         std::move(submission.turn), std::move(submission.prompt));
}

/// A failure outside of single requests is all requests' failure, and not the server's end.
void Engine::step() {
  told_ = false;
  try {
    std::vector<session::Outcome> outcomes = batch_->step();
    for (const session::EndedAnswer& ended : batch_->ended()) {
      const Open& open = open_.at(ended.ticket);
      open.queue->end_one(open.first_answer + ended.number, ended.answer);
    }
    finish(std::move(outcomes));
  } catch (const std::exception& failure) {
    fail_all(session::error_of(failure));
  }
}

/// Counts them before anyone hears of the end, so that whoever asks then sees it.
void Engine::finish(std::vector<session::Outcome> outcomes) {
  std::vector<Open> closed;
  for (session::Outcome& outcome : outcomes) closed.push_back(close(outcome));
  tell_load();
  for (std::size_t i = 0; i < outcomes.size(); ++i) closed[i].queue->end(closed[i].prompt, std::move(outcomes[i]));
}

Engine::Open Engine::close(session::Outcome& outcome) {
  auto node = open_.extract(outcome.ticket);
  Open& open = node.mapped();
  const bool cancelled = outcome.answer.stop == session::StopReason::cancelled;
  if (outcome.error) {
    metrics_.failed();
    blame_picture(outcome, open.picture_fields);
  } else if (cancelled && open.timed_out) {
    metrics_.timed_out();
    refuse(outcome, Refusal(503,
                            concat("The answer was not done after ", static_cast<double>(limits_.request.count()) / 1e3,
                                   " seconds, which is all that this server gives a request; send it again later, or "
                                   "ask for fewer tokens."),
                            {}, "request_timeout"));
  } else if (cancelled) {
    metrics_.abandoned();
  } else {
    const double whole = open.since.elapsed_ms() / 1e3;
    if (!open.first_token_seconds) metrics_.first_token(whole);  // the only token ends the text
    metrics_.answered(outcome, {.first_token = open.first_token_seconds.value_or(whole), .whole = whole});
  }
  const std::lock_guard lock(mutex_);
  --open_count_;
  const auto of_client = of_clients_.find(open.client);
  if (--of_client->second == 0) of_clients_.erase(of_client);
  return std::move(open);
}

void Engine::fail_all(const Error& error) {
  batch_.emplace(session_, batch_limits_);
  std::vector<session::Outcome> outcomes;
  for (const auto& [ticket, open] : open_)
    outcomes.push_back({.ticket = ticket, .answer = {}, .error = error, .thrown = std::make_exception_ptr(error)});
  finish(std::move(outcomes));
}

void Engine::cut_if_late() {
  cut_timed_out();
  {
    const std::lock_guard lock(mutex_);
    if (!deadline_ || Clock::now() < *deadline_) return;
    for (const Job& job : jobs_) job.queue->abandon();
  }
  for (const auto& [ticket, open] : open_) open.queue->abandon();
}

void Engine::cut_timed_out() {
  const Clock::time_point now = Clock::now();
  if (now < next_due_) return;
  next_due_ = Clock::time_point::max();
  for (auto& [ticket, open] : open_) {
    if (now < open.due) {
      next_due_ = std::min(next_due_, open.due);
    } else if (!open.timed_out) {
      open.timed_out = true;
      open.queue->abandon();
    }
  }
}

void Engine::tell_load() {
  const session::BatchState state = batch_->state();
  EngineLoad load{.running = state.running, .waiting = state.waiting, .caches = state.caches};
  if (state.running > 0) {
    load.kv_bytes = state.cache_bytes;
    load.reserved_share = static_cast<double>(state.bytes_admitted) / static_cast<double>(*batch_limits_.bytes);
  }
  for (const auto& [ticket, open] : open_) {
    if (!open.lora.empty()) (open.running ? load.running_loras : load.waiting_loras).insert(open.lora);
  }
  const std::lock_guard lock(mutex_);
  in_batch_ = std::move(load);
  show_load();
}

void Engine::show_load() {
  EngineLoad load = in_batch_;
  load.waiting += static_cast<int64_t>(jobs_.size());
  for (const Job& job : jobs_) {
    if (job.submission.request.lora) load.waiting_loras.insert(lora_name(job.submission.request));
  }
  metrics_.set_load(load);
}

}  // namespace lithe::serve
