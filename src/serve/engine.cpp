#include "serve/engine.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "session/errors.h"
#include "session/loras.h"

namespace lithe::serve {
namespace {

std::string lora_name(const session::Request& request) {
  return request.lora ? session::facts_of(*request.lora).name : "";
}

}  // namespace

Engine::Engine(const session::Session& session, const session::BatchLimits& limits, int64_t max_queue, Metrics& metrics)
    : session_(session), limits_(limits), max_open_(limits.sequences + max_queue), metrics_(metrics) {
  batch_.emplace(session_, limits_);
}

bool Engine::room() const {
  return !deadline_ && open_count_ < max_open_;
}

bool Engine::has_room() const {
  const std::lock_guard lock(mutex_);
  return room();
}

bool Engine::stopping() const {
  const std::lock_guard lock(mutex_);
  return deadline_.has_value();
}

bool Engine::submit(session::Request request, std::vector<session::AnswerOptions> answers,
                    std::shared_ptr<AnswerQueue> queue) {
  {
    const std::lock_guard lock(mutex_);
    if (!room()) return false;
    ++open_count_;
    jobs_.push_back({.request = std::move(request), .answers = std::move(answers), .queue = std::move(queue)});
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
    step();
    tell_load();
  }
}

/// Until there is something to do. False: everything is done, and the engine stops.
bool Engine::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !jobs_.empty() || !open_.empty() || deadline_; });
  return !jobs_.empty() || !open_.empty();
}

void Engine::take_jobs() {
  while (batch_->wants_more()) {
    std::unique_lock lock(mutex_);
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    begin(std::move(job));
  }
}

/// Tells the request's queue what happens to answer number `answer`.
void Engine::listen(session::AnswerOptions& options, std::size_t answer, const Job& job, int64_t ticket) {
  options.cancel = job.queue->token();
  options.on_text = [queue = job.queue, answer](const std::string& piece) { return queue->push(answer, piece); };
  options.on_rating = [queue = job.queue, answer](const session::TokenRating& token) { queue->push(answer, token); };
  options.on_progress = [this, answer, since = job.since,
                         ticket = job.request.lora ? ticket : 0](const session::Progress& progress) {
    if (ticket > 0 && progress.stage != session::Progress::Stage::pictures) open_.at(ticket).running = true;
    const bool first = progress.stage == session::Progress::Stage::decode && progress.done == 1 && answer == 0;
    if (first) metrics_.first_token(since.elapsed_ms() / 1e3);
    cut_if_late();
  };
}

void Engine::begin(Job job) {
  const int64_t ticket = next_ticket_++;
  for (std::size_t answer = 0; answer < job.answers.size(); ++answer) listen(job.answers[answer], answer, job, ticket);
  open_.emplace(ticket, Open{.queue = job.queue, .since = job.since, .lora = lora_name(job.request)});
  batch_->submit_several(ticket, std::move(job.request), std::move(job.answers));
}

/// A failure outside of single requests is all requests' failure, and not the server's end.
void Engine::step() {
  try {
    for (session::Outcome& outcome : batch_->step()) finish(std::move(outcome));
  } catch (const std::exception& failure) {
    fail_all(session::error_of(failure));
  }
}

void Engine::finish(session::Outcome outcome) {
  const auto open = open_.extract(outcome.ticket);
  const bool cancelled = outcome.answer.stop == session::StopReason::cancelled;
  if (outcome.error) {
    metrics_.failed();
  } else if (cancelled) {
    metrics_.abandoned();
  } else {
    metrics_.answered(outcome, open.mapped().since.elapsed_ms() / 1e3);
  }
  {
    const std::lock_guard lock(mutex_);
    --open_count_;
  }
  open.mapped().queue->end(std::move(outcome));
}

void Engine::fail_all(const Error& error) {
  batch_.emplace(session_, limits_);
  while (!open_.empty())
    finish({.ticket = open_.begin()->first, .answer = {}, .error = error, .thrown = std::make_exception_ptr(error)});
}

void Engine::cut_if_late() {
  {
    const std::lock_guard lock(mutex_);
    if (!deadline_ || Clock::now() < *deadline_) return;
    for (const Job& job : jobs_) job.queue->abandon();
  }
  for (const auto& [ticket, open] : open_) open.queue->abandon();
}

void Engine::tell_load() {
  const session::BatchState state = batch_->state();
  const std::lock_guard lock(mutex_);
  EngineLoad load{
      .running = state.running, .waiting = state.waiting + static_cast<int64_t>(jobs_.size()), .caches = state.caches};
  if (state.running > 0) {
    load.kv_bytes = state.cache_bytes;
    load.reserved_share = static_cast<double>(state.bytes_admitted) / static_cast<double>(*limits_.bytes);
  }
  name_loras(load);
  metrics_.set_load(load);
}

void Engine::name_loras(EngineLoad& load) const {
  for (const auto& [ticket, open] : open_) {
    if (!open.lora.empty()) (open.running ? load.running_loras : load.waiting_loras).insert(open.lora);
  }
  for (const Job& job : jobs_) {
    if (job.request.lora) load.waiting_loras.insert(lora_name(job.request));
  }
}

}  // namespace lithe::serve
