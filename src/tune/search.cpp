#include "tune/search.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lithe::tune {
namespace {

RedundancyTask redundancy_task(const SearchTask& task) {
  require(task.warm_up < task.steps, Fault::bad_request, "The search ends after ", task.steps,
          " steps and compares nothing in the first ", task.warm_up, "; give it more steps or a shorter warm-up.");
  return {.sites = static_cast<int64_t>(task.candidates.size()),
          .skipped = task.skipped,
          .warm_up = task.warm_up,
          .seed = task.seed};
}

plan::LayerPlan& entry_of(plan::Plan& plan, const plan::SiteName& site) {
  const auto place = std::find_if(plan.layers.begin(), plan.layers.end(), [&](const plan::LayerPlan& entry) {
    return plan::SiteName{entry.stream, entry.layer} >= site;
  });
  if (place != plan.layers.end() && place->stream == site.stream && place->layer == site.layer) return *place;
  return *plan.layers.insert(place, plan::LayerPlan{.stream = site.stream, .layer = site.layer});
}

/// JSON has no word for a number that is none.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

}  // namespace

std::vector<Candidate> self_attentions(const plan::Plan& base, const std::string& stream, int64_t layers) {
  std::vector<Candidate> candidates;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const plan::LayerPlan* entry = base.find(stream, layer);
    if (!entry || entry->self_attention) candidates.push_back({{stream, layer}});
  }
  return candidates;
}

plan::Plan without(const plan::Plan& base, const std::vector<Candidate>& candidates, const Draw& draw) {
  plan::Plan plan = base;
  for (const int64_t number : draw) {
    const Candidate& candidate = candidates.at(static_cast<size_t>(number));
    plan::LayerPlan& entry = entry_of(plan, candidate.site);
    (candidate.attention == "cross" ? entry.cross_attention : entry.self_attention) = false;
  }
  return plan;
}

Search::Search(SearchTask task, const RedundancySettings& settings)
    : task_(std::move(task)),
      settings_(settings),
      redundancy_(redundancy_task(task_), settings),
      drawn_(task_.candidates.size()) {}

void Search::run(const SearchModel& model, const std::function<void(const SearchProgress&)>& progress,
                 const std::function<bool()>& stop) {
  while (!done()) {
    if (task_.epoch > 0 && redundancy_.step() % task_.epoch == 0) redundancy_.begin_epoch();
    const Draw draw = redundancy_.begin_step();
    const double loss = model.train(without(task_.base, task_.candidates, draw));
    log("train", {draw, loss});
    if (redundancy_.evaluation_due()) compare(model);
    if (progress)
      progress({redundancy_.step(), task_.steps, loss, comparisons_, redundancy_.ranking(), redundancy_.scores()});
    if (stop && stop()) return;
  }
}

void Search::compare(const SearchModel& model) {
  if (model.begin_comparison) model.begin_comparison(settings_.samples);
  std::vector<JudgedDraw> judged;
  for (const Draw& draw : redundancy_.candidates()) {
    judged.push_back({draw, model.loss(without(task_.base, task_.candidates, draw))});
    log("compare", judged.back());
  }
  redundancy_.learn(judged);
  ++comparisons_;
}

void Search::count(const Draw& draw) {
  for (const int64_t number : draw) ++drawn_.at(static_cast<size_t>(number));
}

void Search::log(const char* kind, const JudgedDraw& judged) {
  count(judged.sites);
  draws_.push_back(
      {{"step", redundancy_.step()}, {"kind", kind}, {"skips", judged.sites}, {"loss", number(judged.loss)}});
}

plan::Plan Search::plan() const {
  require(comparisons_ > 0, Fault::bad_request,
          "The search ended before it compared any draws, so it does not know which attentions are redundant; give it "
          "more time, or a shorter warm-up.");
  plan::Plan plan = without(task_.base, task_.candidates, redundancy_.most_redundant());
  plan.name = "searched";
  return plan;
}

std::vector<RankedAttention> Search::ranked() const {
  const std::vector<double> p = redundancy_.probabilities();
  const Draw skipped = redundancy_.most_redundant();
  std::vector<RankedAttention> ranked;
  for (const int64_t number : redundancy_.ranking()) {
    const auto at = static_cast<size_t>(number);
    ranked.push_back({task_.candidates[at].called(), redundancy_.scores()[at], p[at], drawn_[at],
                      std::binary_search(skipped.begin(), skipped.end(), number)});
  }
  return ranked;
}

Json Search::report() const {
  const std::vector<int64_t> numbers = redundancy_.ranking();
  const std::vector<RankedAttention> ranked = this->ranked();
  Json sites = Json::array();
  for (size_t i = 0; i < numbers.size(); ++i) {
    const Candidate& candidate = task_.candidates[static_cast<size_t>(numbers[i])];
    sites.push_back({{"candidate", numbers[i]},
                     {"stream", candidate.site.stream},
                     {"layer", candidate.site.layer},
                     {"attention", candidate.attention},
                     {"number", candidate.called()},
                     {"score", ranked[i].score},
                     {"probability", ranked[i].probability},
                     {"drawn", ranked[i].drawn},
                     {"skipped", ranked[i].skipped}});
  }
  return {{"format", "lithe-scores/1"},
          {"steps", redundancy_.step()},
          {"comparisons", comparisons_},
          {"seed", task_.seed},
          {"ranking", sites},
          {"draws", draws_}};
}

Json Search::state() const {
  return {{"redundancy", redundancy_.state()}, {"comparisons", comparisons_}, {"draws", draws_}};
}

void Search::restore(const Json& state, const std::string& source) {
  const JsonView view(state, source);
  redundancy_.restore(view.object("redundancy").json(), source);
  comparisons_ = view.integer("comparisons");
  require(state.contains("draws") && state.at("draws").is_array(), Fault::bad_file, source, ": 'draws' is not a list");
  draws_ = state.at("draws");
  std::fill(drawn_.begin(), drawn_.end(), 0);
  try {
    for (const Json& draw : draws_) count(draw.at("skips").get<Draw>());
  } catch (const std::exception&) {  // another type, or a candidate that does not exist
    fail(Fault::bad_file, source, ": 'draws' are not draws of this search");
  }
}

}  // namespace lithe::tune
