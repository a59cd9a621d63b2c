#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "serve/answer_queue.h"
#include "serve/metrics.h"
#include "session/batch.h"
#include "session/session.h"

namespace lithe::serve {

/// The thread that owns the model: it takes requests from other threads into one batch and tells each request's queue
/// what happens.
class Engine {
 public:
  /// The limits' bytes must be given. The session and the metrics must outlive it.
  Engine(const session::Session& session, const session::BatchLimits& limits, int64_t max_queue, Metrics& metrics);

  /// Hands over a request; `answers` are the options of each answer to it. False: as many requests wait as may, or the
  /// engine stops. From any thread.
  bool submit(session::Request request, std::vector<session::AnswerOptions> answers,
              std::shared_ptr<AnswerQueue> queue);
  /// Whether submit() would take a request now.
  bool has_room() const;

  /// Answers requests until stop() is called and all of them are done. One thread calls it, once.
  void run();
  /// Takes no more requests; what is not done after `patience` is cut. The shortest patience of several calls holds.
  /// From any thread.
  void stop(std::chrono::milliseconds patience);
  bool stopping() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Job {
    session::Request request;
    std::vector<session::AnswerOptions> answers;
    std::shared_ptr<AnswerQueue> queue;
    Stopwatch since;
  };
  struct Open {
    std::shared_ptr<AnswerQueue> queue;
    Stopwatch since;
    std::string lora;      // its name; empty: none
    bool running = false;  // noted if there is a LoRA
  };

  bool room() const;  // with the lock
  bool wait();
  void take_jobs();
  void begin(Job job);
  void listen(session::AnswerOptions& options, std::size_t answer, const Job& job, int64_t ticket);
  void step();
  void finish(session::Outcome outcome);
  void fail_all(const Error& error);
  void cut_if_late();
  void tell_load();
  void name_loras(EngineLoad& load) const;  // with the lock

  const session::Session& session_;
  const session::BatchLimits limits_;
  const int64_t max_open_;
  Metrics& metrics_;

  mutable std::mutex mutex_;  // of what follows, up to deadline_
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  int64_t open_count_ = 0;  // jobs that have no outcome
  std::optional<Clock::time_point> deadline_;

  // Of run()'s thread alone.
  std::optional<session::BatchRun> batch_;
  std::map<int64_t, Open> open_;
  int64_t next_ticket_ = 1;
};

}  // namespace lithe::serve
