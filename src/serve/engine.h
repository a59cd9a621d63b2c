#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
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

/// A request for the engine: one prompt of a call.
struct Submission {
  session::Request request;
  std::vector<session::AnswerOptions> answers;  ///< The options of each answer to it.
  session::Turn turn;
  std::shared_ptr<const session::ReadPrompt> prompt;  ///< Null: read when its turn comes.
  std::vector<std::string> picture_fields;            ///< How errors call each picture.
  std::size_t number = 0;                             ///< Of the prompt, among those of the call.
};

/// What an engine takes on.
struct EngineLimits {
  int64_t max_queue = 0;                 ///< Requests that wait for a place in the batch, at most.
  std::chrono::milliseconds request{0};  ///< From submit() to the end, at most; 0: any time.

  /// Of the waiting requests, how many must be of clients that have no other: one client can't keep others out.
  int64_t kept_free() const { return max_queue < 2 ? 0 : std::max<int64_t>(1, max_queue / 8); }
};

/// The thread that owns the model: it takes requests from other threads into one batch and tells each request's queue
/// what happens.
class Engine {
 public:
  /// The bytes of the batch's limits must be given. The session and the metrics must outlive it.
  Engine(const session::Session& session, const session::BatchLimits& batch, const EngineLimits& limits,
         Metrics& metrics);

  /// Hands over the requests of a call, which are all of one client. False: it takes none, as too many requests wait
  /// or the engine stops. From any thread.
  bool submit(std::vector<Submission> call, const std::shared_ptr<AnswerQueue>& queue);
  /// Whether submit() would take one request of this client now.
  bool has_room(const std::string& client) const;

  /// Answers requests until stop() is called and all of them are done. One thread calls it, once.
  void run();
  /// Takes no more requests; what is not done after `patience` is cut. The shortest patience of several calls holds.
  /// From any thread.
  void stop(std::chrono::milliseconds patience);
  bool stopping() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Job {
    Submission submission;
    std::shared_ptr<AnswerQueue> queue;
    Stopwatch since;
    Clock::time_point due;  // when it is cut
  };
  struct Open {
    std::shared_ptr<AnswerQueue> queue;
    Stopwatch since;
    Clock::time_point due;
    std::vector<std::string> picture_fields;
    std::size_t prompt = 0, first_answer = 0;  // their numbers in the call
    std::string client;
    std::string lora;  // its name; empty: none
    bool running = false, timed_out = false;
    std::optional<double> first_token_seconds;
  };

  bool has_room(const std::string& client, int64_t requests) const;  // with the lock
  bool wait();
  void take_jobs();
  void begin(Job job);
  void listen(session::AnswerOptions& options, std::size_t answer, int64_t ticket);
  void hear(int64_t ticket, std::size_t answer, const session::Progress& progress);
  void step();
  void finish(std::vector<session::Outcome> outcomes);
  Open close(session::Outcome& outcome);
  void fail_all(const Error& error);
  void cut_if_late();
  void cut_timed_out();
  void tell_load();
  void show_load();  // with the lock

  const session::Session& session_;
  const session::BatchLimits batch_limits_;
  const EngineLimits limits_;
  Metrics& metrics_;

  mutable std::mutex mutex_;  // of what follows, up to in_batch_
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  int64_t open_count_ = 0;                     // jobs that have no outcome
  std::map<std::string, int64_t> of_clients_;  // the same of each client that has some
  std::optional<Clock::time_point> deadline_;
  EngineLoad in_batch_;  // without the jobs

  // Of run()'s thread alone.
  std::optional<session::BatchRun> batch_;
  std::map<int64_t, Open> open_;
  int64_t next_ticket_ = 1;
  Clock::time_point next_due_ = Clock::time_point::max();  // of open_, or earlier
  bool told_ = false;                                      // the load, since requests joined the pass
};

}  // namespace lithe::serve
