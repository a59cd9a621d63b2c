#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "session/batch.h"
#include "session/session.h"

namespace lithe::serve {

/// How many values fell below each bound, as Prometheus counts them.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}
  void observe(double value);
  /// The lines of its buckets, sum and count. `label`: model_name="demo".
  std::string text(const std::string& name, const std::string& label) const;

 private:
  std::vector<double> bounds_;
  std::vector<uint64_t> counts_;  // one more: what is above the last bound
  double sum_ = 0;
};

/// What does not change while a server runs.
struct MetricFacts {
  int64_t most_loras = 0;    ///< That requests may choose from at a time; 0: nothing is said of LoRA.
  int64_t block_tokens = 0;  ///< Tokens of a block of keys and values.
  int64_t blocks = 0;        ///< That the memory of requests could hold, if no plan left any out.
};

/// The times of an answered request, in seconds. Each is of its first answer, but `whole`.
struct RequestTimes {
  double first_token = 0;  ///< From the request's arrival, as `whole`.
  double whole = 0;        ///< Until all answers are there.
};

/// How the engine is loaded at one moment.
struct EngineLoad {
  int64_t running = 0, waiting = 0;
  int64_t kv_bytes = 0;       ///< Reserved for keys and values of what runs.
  double reserved_share = 0;  ///< Of the memory that requests may use.
  session::CacheState caches;
  std::set<std::string> running_loras, waiting_loras;  ///< Names of those that requests are under.
};

/// What GET /metrics shows. Any thread may call it; nothing in it waits for the engine.
class Metrics {
 public:
  explicit Metrics(const MetricFacts& facts = {});

  void set_load(const EngineLoad& load);
  void first_token(double seconds);
  /// `seconds`: since the token before it.
  void next_token(double seconds);
  void answered(const session::Outcome& outcome, const RequestTimes& times);
  void failed();
  void abandoned();
  void timed_out();
  /// Prometheus' text format.
  std::string text(const std::string& model) const;

 private:
  void ended(const session::Answer& answer);  // with the lock

  const MetricFacts facts_;
  mutable std::mutex mutex_;
  EngineLoad load_;
  Histogram first_token_, whole_, queue_, prefill_, decode_;  // seconds
  Histogram next_token_, per_token_;                          // seconds
  Histogram request_prompt_tokens_, request_new_tokens_;      // tokens
  int64_t prompt_tokens_ = 0, new_tokens_ = 0, kept_tokens_ = 0, image_tokens_ = 0;
  double flops_ = 0, dense_flops_ = 0;  // of prompts
  int64_t stopped_ = 0, cut_ = 0, failed_ = 0, abandoned_ = 0, timed_out_ = 0;
};

}  // namespace lithe::serve
