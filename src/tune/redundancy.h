#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

// The search for redundant attentions (EAS, arXiv 2403.15226) without tensors: every candidate site has a score, sets
// of sites are drawn by the scores, and the scores learn from the losses of these sets.
namespace lithe::tune {

/// Sites that are skipped together: their numbers, ascending.
using Draw = std::vector<int64_t>;

/// How a search draws and learns. What is not set here differs in no published search: the scores begin at 0, and the
/// reward of a draw is exp(-loss).
struct RedundancySettings {
  /// How scores become probabilities of being drawn: sigmoid(s), or softmax(10 s) over all sites.
  enum class Probability { sigmoid, softmax };
  /// On which samples draws are compared. All draws of one evaluation meet the same batch.
  enum class Samples {
    held_out,        ///< Other held-out samples at each evaluation.
    first_held_out,  ///< The same held-out samples always (METER, by accident).
    training,        ///< The training batch at hand (LLaVA, which calls it held out).
  };

  Probability probability = Probability::sigmoid;
  double rate = 1.0;     ///< f
  int64_t interval = 3;  ///< Training steps from one evaluation to the next, at least.
  int64_t draws = 5;     ///< Distinct sets that one evaluation compares.
  bool ramp = true;      ///< Skips few sites at first: min(2 k t / warm-up + 1, k) at step t.
  Samples samples = Samples::held_out;
  bool dropout = false;  ///< While draws are compared.
};

/// "ours" (the default), or a published search as it was: "lavin", "llava", "meter". Throws Error{bad_request} for
/// another name.
RedundancySettings redundancy_settings(std::string_view name);

/// What a search is about.
struct RedundancyTask {
  int64_t sites = 0;    ///< Candidates.
  int64_t skipped = 0;  ///< k: how many of them are to be skipped.
  int64_t warm_up = 0;  ///< Training steps before the first evaluation.
  uint64_t seed = 0;
};

/// A set of sites and what it lost.
struct JudgedDraw {
  Draw sites;
  double loss = 0;
};

/// The first `count` draws that `next` gives, without those that were there already. Fewer if so many in a row were
/// there already that others can hardly be had.
std::vector<Draw> distinct_draws(int64_t count, const std::function<Draw()>& next);

/// The state of a search. A training step is: begin_step, train on what it returns; if evaluation_due: take candidates,
/// find the loss of each, learn. The same seed and the same losses give the same scores.
class Redundancy {
 public:
  /// Throws Error{bad_request} for numbers that make no search.
  Redundancy(const RedundancyTask& task, const RedundancySettings& settings);

  /// Begins the next training step.  -> the sites that it skips
  Draw begin_step();
  /// Published searches that count in epochs begin to count anew to the next evaluation.
  void begin_epoch() { since_ = 0; }
  /// Whether the draws are to be compared after this step.
  bool evaluation_due() const { return step_ >= task_.warm_up && since_ >= settings_.interval; }
  /// The distinct sets to compare.
  std::vector<Draw> candidates();
  /// Moves the scores: s_i += (reward - mean reward) p_i (1 - p_i) f for every set and every site in it. A loss that is
  /// no number has the reward 0.
  void learn(std::span<const JudgedDraw> judged);

  int64_t step() const { return step_; }  ///< Training steps begun.
  int64_t skipped_now() const;            ///< How many sites this step skips.
  const std::vector<double>& scores() const { return scores_; }
  std::vector<double> probabilities() const;  ///< Of the sites.
  std::vector<int64_t> ranking() const;       ///< Sites, the most redundant first; of equals the lower first.
  Draw most_redundant() const;                ///< The `skipped` first of the ranking, ascending.

  /// All that the search knows, for a checkpoint: the search that is made of it goes on as this one would.
  Json state() const;
  /// Throws Error{bad_file} for a state of another task or other settings.
  void restore(const Json& state, const std::string& source);

 private:
  Draw draw();

  RedundancyTask task_;
  RedundancySettings settings_;
  std::vector<double> scores_;
  std::mt19937_64 random_;
  int64_t step_ = 0;
  int64_t since_ = 0;  // steps since the last evaluation
};

}  // namespace lithe::tune
