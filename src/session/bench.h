#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plan/cost.h"
#include "plan/plan.h"
#include "session/session.h"

namespace lithe::session {

/// A made-up prompt of random rows, for timing: content does not change the cost of dense layers, and routers choose by
/// it as usual.
struct BenchPrompt {
  int64_t vision_tokens = 576;
  int64_t high_res_tokens = 0;  ///< Of vision_tokens, how many belong to LLaVA-NeXT's tiles.
  int64_t text_tokens = 40;
  int64_t sequences = 1;  ///< Prompts of this shape that run together, each of its own rows.
  uint64_t seed = 0;
};

struct PrefillResult {
  double ms = 0;                   ///< 0 if the cache is made up.
  std::vector<int64_t> rows_held;  ///< Per layer, in the KV cache of one sequence
  int64_t bytes_held = 0;          ///< Of all sequences.
  int64_t bytes_read = 0;  ///< What a decode step after it reads: the weights that run, and all keys and values.
};

/// Phases of one model on one made-up prompt, each call timed once. Weights are shared between plans.
class Bench {
 public:
  /// Throws Error{bad_request} for a prompt that does not fit the model; decode_ms does so for new tokens that do not.
  Bench(const models::Model& model, const BenchPrompt& prompt);
  ~Bench();

  /// The tower and projector on `tiles` random tiles; milliseconds.
  double encode_ms(int64_t tiles);
  /// Prefill of all sequences under a plan; the cache that results serves decode_ms with the same plan.
  PrefillResult prefill(const plan::Plan& plan);
  /// In place of prefill: a cache of random keys and values, `rows` of them per layer, to time decoding after long
  /// prompts.
  PrefillResult make_up_cache(const plan::Plan& plan, const std::vector<int64_t>& rows);
  /// Mean of `steps` decode steps of all sequences after the last prefill; milliseconds per step. The cache is reset
  /// afterwards.
  double decode_ms(const plan::Plan& plan, int64_t steps);

  // The decoder's feed-forward networks with their norms, called one after another on the same rows, and the head: what
  // is left if no layer attends, without the engine's work around it.
  double feed_forward_prefill_ms();
  double feed_forward_decode_ms(int64_t steps);  ///< Mean per step.

 private:
  struct State;
  PrefillResult held_under(const plan::Plan& plan) const;

  std::unique_ptr<State> state_;
};

/// A model of a named shape with random weights.
struct RandomModel {
  std::string shape;  ///< "llava-1.5-7b"
  int64_t layers = 2, tower_layers = 2;
  std::string weights = "auto", kv = "float32", compute = "float32";  ///< As OpenOptions.
  std::string device = "cpu";
  uint64_t seed = 0;
};

/// For `bench` and the demo's comparison at 7B width.
Session random_session(const RandomModel& what);

}  // namespace lithe::session
