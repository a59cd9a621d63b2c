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

/// What a plan is timed beside: the model without a plan, or its feed-forward networks and norms alone, which a plan
/// without any attention should cost.
enum class Reference { dense, feed_forward };

/// How a model is timed: `rounds` rounds of reference, plan and reference again after `warm_up` that do not count.
struct CompareOptions {
  int64_t rounds = 9;
  int64_t warm_up = 1;
  int64_t decode_steps = 8;
  Reference reference = Reference::dense;
  /// The model whose dense run is the reference: adapters may have taken the place of attentions in the timed one.
  /// Null: the same model.
  const session::Session* dense_model = nullptr;
  bool prefills = true;  ///< False: decode only, after made-up caches of as many rows as the plan counts.
  int64_t tiles = 1;     ///< Of the image encode; 0: none.
  std::function<void(const std::string&)> on_progress;  ///< May be empty.
};

/// The times of one phase in milliseconds, one per round. A, B and A' are taken one after another in every round, so
/// that a busy moment hits all three; A' is the reference once more and shows how far two equal things differ on this
/// machine.
struct Phase {
  std::string test;                               ///< "pp616", "tg8"
  int64_t rows = 0;                               ///< Rows or tokens of one run, of all its sequences.
  std::vector<double> reference, again, skipped;  ///< Empty for a phase that was left out.
  double counted_share = 1;                       ///< Operations under the plan / operations of the reference.
  double read_share = 0;  ///< The same of the bytes that decoding reads: weights that run, keys and values. Prefill: 0.

  double median_ratio() const;  ///< Plan / reference, that being A and A' together.
  double minimum_ratio() const;
  double equal_spread() const;  ///< |median A' / median A - 1|
  double binding_share() const { return std::max(counted_share, read_share); }
};

struct Comparison {
  std::string plan, reference;
  std::vector<double> image_ms;  ///< Empty without tiles.
  Phase prefill, decode;
  plan::CostTable cost;                               ///< Under the plan, dense beside it.
  int64_t reference_kv_bytes = 0, plan_kv_bytes = 0;  ///< As held after prefill.
};

/// Times a model on made-up prompts, the reference beside `plan`. Throws Error{internal} if the cache holds other
/// rows than the plan counts, Error{bad_request} if the reference is the feed-forward networks alone and the plan
/// has more than them, or if it is dense and the model can't run so.
Comparison compare(const session::Session& session, const plan::Plan& plan, const session::BenchPrompt& prompt,
                   const CompareOptions& options);

}  // namespace lithe::cli
