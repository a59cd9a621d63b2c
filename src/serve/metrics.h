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
  /// `most_loras`: that requests may choose from at a time; 0: nothing is said of LoRA.
  explicit Metrics(int64_t most_loras = 0);

  void set_load(const EngineLoad& load);
  void first_token(double seconds);
  void answered(const session::Outcome& outcome, double seconds);
  void failed();
  void abandoned();
  /// Prometheus' text format.
  std::string text(const std::string& model) const;

 private:
  void ended(const session::Answer& answer);  // with the lock

  const int64_t most_loras_;
  mutable std::mutex mutex_;
  EngineLoad load_;
  Histogram first_token_, whole_;
  int64_t prompt_tokens_ = 0, new_tokens_ = 0, kept_tokens_ = 0, image_tokens_ = 0;
  int64_t stopped_ = 0, cut_ = 0, failed_ = 0, abandoned_ = 0;
};

}  // namespace lithe::serve
