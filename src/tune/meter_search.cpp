#include "tune/meter_search.h"

#include <memory>
#include <utility>
#include <vector>

#include "plan/meter_sites.h"
#include "tune/meter_ready.h"
#include "tune/meter_trainer.h"
#include "tune/recipe_data.h"
#include "tune/recipe_options.h"

namespace lithe::tune {
namespace {

std::vector<Candidate> attentions_of(int64_t layers) {
  std::vector<Candidate> candidates;
  for (int64_t number = 0; number < 4 * layers; ++number) {
    const plan::MeterSite site = plan::meter_site(number, layers);
    candidates.push_back({{site.stream, site.layer}, site.cross ? "cross" : "self", number});
  }
  return candidates;
}

}  // namespace

SearchResult search_meter(const Recipe& recipe, const RunOptions& options, SearchSetup setup) {
  setup.data = open_sets(recipe.data, "meter", {});
  setup.eval_data = open_sets(recipe.eval_data, "meter", {});
  const ReadyMeter ready = ready_meter(recipe, setup.data, {}, options.device);
  models::Meter& meter = *ready.meter;
  const int64_t layers = meter.streams.config.layers;
  setup.steps = steps_of(recipe, setup.ranks, records_per_epoch(setup.data));
  MeterTrainer::Options trainer = meter_trainer_options(recipe, setup.ranks);
  trainer.rates.learning_rate = recipe.eas->search.learning_rate.value_or(recipe.learning_rate);
  SearchedModel<MeterSample, MeterTrainer> model{
      .folder = meter.checkpoint,
      .plan = {},
      .candidates = attentions_of(layers),
      .skipped = [layers](const plan::Plan& plan) { return plan::meter_sites_off(plan, layers); },
      .maker = sample_maker(ready),
      .trainer = [&meter, &ready,
                  trainer] { return std::make_unique<MeterTrainer>(meter, ready.task, plan::Plan{}, trainer); }};
  return search_attentions(recipe, options, std::move(model), std::move(setup));
}

void check_meter_search(const Recipe& recipe, const models::Meter& meter, int64_t steps) {
  check_search(recipe, attentions_of(meter.streams.config.layers), steps);
}

}  // namespace lithe::tune
