#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "plan/facts.h"
#include "plan/plan.h"
#include "tune/redundancy.h"
#include "tune/search_report.h"

namespace lithe::tune {

/// An attention that a search may skip.
struct Candidate {
  plan::SiteName site;
  std::string attention = "self";      ///< `self` or `cross`.
  std::optional<int64_t> number = {};  ///< What recipes call it; absent: the number of its layer.

  int64_t called() const { return number.value_or(site.layer); }
};

/// The self-attentions of the first `layers` layers of a stream that `base` leaves on.
std::vector<Candidate> self_attentions(const plan::Plan& base, const std::string& stream, int64_t layers);

/// `base` without these attentions.
plan::Plan without(const plan::Plan& base, const std::vector<Candidate>& candidates, const Draw& draw);

/// What a search asks of whoever trains the model and holds the samples.
struct SearchModel {
  std::function<double(const plan::Plan&)> train;  ///< One training step under a plan.  -> its loss
  /// The draws that are compared next meet samples of their own. May be empty.
  std::function<void(RedundancySettings::Samples)> begin_comparison;
  std::function<double(const plan::Plan&)> loss;  ///< Of these samples, without training on them.
};

/// What a search is to find: `skipped` of the candidates, over a plan whose rules stay as they are (p-MoD).
struct SearchTask {
  plan::Plan base;
  std::vector<Candidate> candidates;
  int64_t skipped = 0;
  int64_t warm_up = 0;  ///< Training steps before draws are compared.
  int64_t steps = 0;    ///< Training steps in all.
  int64_t epoch = 0;    ///< Steps of an epoch, after which published searches count anew; 0: they do not.
  uint64_t seed = 0;
};

/// A search after one of its steps.
struct SearchProgress {
  int64_t step = 0, steps = 0;
  double loss = 0;               ///< Of the training step.
  int64_t comparisons = 0;       ///< So far.
  std::vector<int64_t> ranking;  ///< Numbers of candidates, the most redundant first.
  const std::vector<double>& scores;
};

/// Draws attentions to skip, has the model trained without them, compares draws on held-out samples and so learns which
/// attentions are redundant.
class Search {
 public:
  /// Throws Error{bad_request} if the task makes no search.
  Search(SearchTask task, const RedundancySettings& settings);

  /// Runs the steps that are left. `stop` is asked after each one: a time budget, a signal. Both callbacks may be
  /// empty.
  void run(const SearchModel& model, const std::function<void(const SearchProgress&)>& progress = {},
           const std::function<bool()>& stop = {});

  bool done() const { return redundancy_.step() >= task_.steps; }
  int64_t comparisons() const { return comparisons_; }
  /// Every candidate, the most redundant first.
  std::vector<RankedAttention> ranked() const;

  /// The task's plan without the most redundant attentions. Throws Error{bad_request} if nothing was compared yet.
  plan::Plan plan() const;
  /// What is saved beside the plan: every candidate with its score, in the order of the ranking, and every draw with
  /// its loss.
  Json report() const;

  /// For a checkpoint: a search of the same task that restores it goes on as this one would.
  Json state() const;
  void restore(const Json& state, const std::string& source);  ///< Throws Error{bad_file}.

 private:
  void compare(const SearchModel& model);
  void log(const char* kind, const JudgedDraw& judged);
  void count(const Draw& draw);

  SearchTask task_;
  RedundancySettings settings_;
  Redundancy redundancy_;
  int64_t comparisons_ = 0;
  std::vector<int64_t> drawn_;  // [candidates] how often
  Json draws_ = Json::array();
};

}  // namespace lithe::tune
