#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "plan/cost.h"
#include "session/bench.h"

namespace lithe::cli {

/// How a model is timed: `rounds` rounds of dense, plan and dense again after `warm_up` that do not count.
struct CompareOptions {
  int64_t rounds = 9;
  int64_t warm_up = 1;
  int64_t decode_steps = 8;
  bool prefills = true;  ///< False: decode only, behind made-up caches of as many rows as the plan counts.
  int64_t tiles = 1;     ///< Of the image encode; 0: none.
  std::function<void(const std::string&)> on_progress;  ///< May be empty.
};

/// The times of one phase in milliseconds, one per round. A, B and A' are taken one after another in every round, so
/// that a busy moment hits all three; A' is dense once more and shows how far two equal things differ on this machine.
struct Phase {
  std::string test;                           ///< "pp616", "tg8"
  int64_t rows = 0;                           ///< Rows or tokens of one run, of all its sequences.
  std::vector<double> dense, again, skipped;  ///< Empty for a phase that was left out.
  double counted_share = 1;                   ///< Operations under the plan / operations of dense.
  double read_share = 0;  ///< The same of the bytes that decoding reads: weights that run, keys and values. Prefill: 0.

  double median_ratio() const;  ///< Plan / dense, dense being A and A' together.
  double minimum_ratio() const;
  double equal_spread() const;  ///< |median A' / median A - 1|
  double binding_share() const { return std::max(counted_share, read_share); }
};

struct Comparison {
  std::string plan;
  std::vector<double> image_ms;  ///< Empty without tiles.
  Phase prefill, decode;
  plan::CostTable cost;                           ///< Under the plan, dense beside it.
  int64_t dense_kv_bytes = 0, plan_kv_bytes = 0;  ///< As held after prefill.
};

/// Times a model on made-up prompts, dense beside `plan`. Throws Error{internal} where the cache holds other rows than
/// the plan counts.
Comparison compare(const session::Session& session, const plan::Plan& plan, const session::BenchPrompt& prompt,
                   const CompareOptions& options);

}  // namespace lithe::cli
