#include "tune/redundancy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>

#include "base/error.h"

namespace lithe::tune {
namespace {

using Probability = RedundancySettings::Probability;
using Samples = RedundancySettings::Samples;

struct NamedSettings {
  std::string_view name;
  RedundancySettings settings;
};

const NamedSettings kSettings[] = {
    {"ours", {}},
    {"lavin", {Probability::softmax, 2.0, 10, 3, false, Samples::held_out, true}},
    {"llava", {Probability::sigmoid, 1.0, 3, 5, true, Samples::training, false}},
    {"meter", {Probability::sigmoid, 1.0, 10, 3, false, Samples::first_held_out, true}},
};

constexpr double kSharpness = 10;  // of softmax

/// ln p of each site. The logarithm never loses a site: exp(10 s) may become 0.
std::vector<double> log_probabilities(const std::vector<double>& scores, Probability probability) {
  std::vector<double> logs;
  if (probability == Probability::sigmoid) {
    for (const double s : scores) logs.push_back(s < 0 ? s - std::log1p(std::exp(s)) : -std::log1p(std::exp(-s)));
    return logs;
  }
  const double largest = kSharpness * *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const double s : scores) sum += std::exp(kSharpness * s - largest);
  for (const double s : scores) logs.push_back(kSharpness * s - largest - std::log(sum));
  return logs;
}

/// In (0, 1), the same on every standard library.
double uniform(std::mt19937_64& random) {
  return (static_cast<double>(random() >> 11) + 0.5) * 0x1.0p-53;
}

/// The sites with the highest values, ascending; of equals the lower.
std::vector<int64_t> highest_first(const std::vector<double>& values) {
  std::vector<int64_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return values[static_cast<size_t>(a)] > values[static_cast<size_t>(b)];
  });
  return order;
}

Draw first_of(std::vector<int64_t> order, int64_t count) {
  order.resize(static_cast<size_t>(count));
  std::sort(order.begin(), order.end());
  return order;
}

Json json_of(const RedundancyTask& task, const RedundancySettings& settings) {
  return {{"sites", task.sites},
          {"skipped", task.skipped},
          {"warm_up", task.warm_up},
          {"seed", task.seed},
          {"probability", settings.probability == Probability::sigmoid ? "sigmoid" : "softmax"},
          {"rate", settings.rate},
          {"interval", settings.interval},
          {"draws", settings.draws},
          {"ramp", settings.ramp}};
}

}  // namespace

RedundancySettings redundancy_settings(std::string_view name) {
  for (const NamedSettings& known : kSettings) {
    if (known.name == name) return known.settings;
  }
  fail(Fault::bad_request, "There is no search '", std::string(name), "'; there are ours, lavin, llava and meter.");
}

std::vector<Draw> distinct_draws(int64_t count, const std::function<Draw()>& next) {
  constexpr int kRepeats = 1000;
  std::vector<Draw> draws;
  for (int repeats = 0; static_cast<int64_t>(draws.size()) < count && repeats < kRepeats;) {
    Draw draw = next();
    if (std::find(draws.begin(), draws.end(), draw) != draws.end()) {
      ++repeats;
      continue;
    }
    draws.push_back(std::move(draw));
    repeats = 0;
  }
  return draws;
}

Redundancy::Redundancy(const RedundancyTask& task, const RedundancySettings& settings)
    : task_(task),
      settings_(settings),
      scores_(static_cast<size_t>(std::max<int64_t>(task.sites, 0))),
      random_(task.seed) {
  require(task.skipped > 0 && task.skipped < task.sites, Fault::bad_request, "The search is to skip ", task.skipped,
          " of ", task.sites, " attentions; skip at least one and keep at least one.");
  require(task.warm_up >= 0 && settings.interval > 0, Fault::bad_request, "The search has a warm-up of ", task.warm_up,
          " steps and evaluates every ", settings.interval,
          " steps; the first must not be negative, the second not 0.");
  require(settings.draws > 1, Fault::bad_request, "The search compares ", settings.draws,
          " draws at a time; it takes at least two to tell which is better.");
}

int64_t Redundancy::skipped_now() const {
  if (!settings_.ramp || task_.warm_up == 0) return task_.skipped;
  return std::min(2 * task_.skipped * step_ / task_.warm_up + 1, task_.skipped);
}

std::vector<double> Redundancy::probabilities() const {
  std::vector<double> p = log_probabilities(scores_, settings_.probability);
  for (double& value : p) value = std::exp(value);
  return p;
}

/// Sites drawn one after another, each by its probability among those that are left. The k largest of ln p + Gumbel
/// noise are such a draw (arXiv 1903.06059).
Draw Redundancy::draw() {
  std::vector<double> keys = log_probabilities(scores_, settings_.probability);
  for (double& key : keys) key -= std::log(-std::log(uniform(random_)));
  return first_of(highest_first(keys), skipped_now());
}

Draw Redundancy::begin_step() {
  ++step_;
  ++since_;
  return draw();
}

std::vector<Draw> Redundancy::candidates() {
  return distinct_draws(settings_.draws, [this] { return draw(); });
}

void Redundancy::learn(std::span<const JudgedDraw> judged) {
  since_ = 0;
  if (judged.empty()) return;
  std::vector<double> rewards;
  for (const JudgedDraw& one : judged) rewards.push_back(std::isnan(one.loss) ? 0.0 : std::exp(-one.loss));
  const double mean = std::accumulate(rewards.begin(), rewards.end(), 0.0) / static_cast<double>(rewards.size());
  const std::vector<double> p = probabilities();
  for (size_t i = 0; i < judged.size(); ++i) {
    for (const int64_t site : judged[i].sites) {
      const auto at = static_cast<size_t>(site);
      scores_.at(at) += (rewards[i] - mean) * p[at] * (1 - p[at]) * settings_.rate;
    }
  }
}

std::vector<int64_t> Redundancy::ranking() const {
  return highest_first(scores_);
}

Draw Redundancy::most_redundant() const {
  return first_of(ranking(), task_.skipped);
}

Json Redundancy::state() const {
  std::ostringstream random;
  random << random_;
  return {{"task", json_of(task_, settings_)},
          {"step", step_},
          {"since_evaluation", since_},
          {"scores", scores_},
          {"random", random.str()}};
}

void Redundancy::restore(const Json& state, const std::string& source) {
  const JsonView view(state, source);
  require(view.object("task").json() == json_of(task_, settings_), Fault::bad_file, source,
          ": this is a search of other sites or with other settings; begin anew, or search as it was begun");
  const Json scores = state.value("scores", Json());
  const bool fit = scores.is_array() && scores.size() == scores_.size() &&
                   std::all_of(scores.begin(), scores.end(), [](const Json& score) { return score.is_number(); });
  require(fit, Fault::bad_file, source, ": 'scores' are not ", scores_.size(), " numbers");
  scores_ = scores.get<std::vector<double>>();
  step_ = view.integer("step");
  since_ = view.integer("since_evaluation");
  std::istringstream random(view.text("random"));
  random >> random_;
  require(!random.fail(), Fault::bad_file, source, ": 'random' is not the state of a generator");
}

}  // namespace lithe::tune
