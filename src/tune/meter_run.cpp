#include "tune/meter_run.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoints/write/meter_folder.h"
#include "tune/held_out_samples.h"
#include "tune/meter_ready.h"
#include "tune/meter_search.h"
#include "tune/meter_trainer.h"
#include "tune/recipe_data.h"
#include "tune/recipe_options.h"
#include "tune/search_run.h"
#include "tune/training_step.h"
#include "tune/tuning_phase.h"

namespace lithe::tune {
namespace {

/// The mean loss over labels. A few samples at a time are in memory.
Evaluation evaluate(const MeterTrainer& trainer, HeldOutSamples<MeterSample> samples, size_t batch) {
  double sum = 0, count = 0;
  std::vector<MeterSample> waiting;
  const auto lose = [&] {
    const auto labels = static_cast<double>(labels_in(waiting));
    if (!waiting.empty()) sum += trainer.loss(waiting) * labels;
    count += labels;
    waiting.clear();
  };
  while (auto one = samples.next()) {
    waiting.push_back(std::move(one->sample));
    if (waiting.size() == batch) lose();
  }
  lose();
  require(count > 0, Fault::bad_file, "eval_data holds no record that the head could be evaluated on");
  return {.step = 0, .loss = sum / count, .exact_match = std::nullopt, .answers = {}};
}

RunEstimate estimate_of(models::Meter& meter, const AdamW& optimiser) {
  RunEstimate::Part part{.name = "METER"};
  visit(meter, [&](const models::WeightSlot& slot) { part.parameters += models::held_at(slot.place).count(); });
  optimiser.for_each_parameter([&](const Parameter& one) { part.learn += one.values.numel(); });
  RunEstimate estimate{.weight_bytes = meter.loaded.bytes};
  estimate.optimiser_bytes = 3 * 4 * part.learn;  // a gradient and two averages, in float32
  estimate.parts.push_back(part);
  return estimate;
}

}  // namespace

RunResult tune_meter(const Recipe& recipe, const RunOptions& options, const Ranks& ranks,
                     std::optional<SearchResult> searched) {
  TuningSetup setup{.ranks = ranks, .data = open_sets(recipe.data, "meter", {}), .eval_data = {}, .searched = {}};
  for (const DataSet& set : recipe.eval_data) setup.eval_data.push_back(open_set(set, "meter", {}));
  const ReadyMeter ready =
      ready_meter(recipe, setup.data, searched ? searched->skipped : std::vector<int64_t>(), options.device);
  setup.searched = std::move(searched);
  for (const std::string& note : ready.notes)
    if (options.on_note && ranks.first()) options.on_note(note);
  MeterTrainer trainer(*ready.meter, ready.task, ready.plan, meter_trainer_options(recipe, ranks));
  const int64_t batch = recipe.per_device_train_batch_size;
  const auto use = std::make_shared<AnswerUse>();
  TunedModel<MeterSample, MeterTrainer> tuned{
      .folder = ready.meter->checkpoint,
      .trainer = trainer,
      .maker = sample_maker(ready, use),
      .held_out_maker = sample_maker(ready),
      .estimate = [&] { return estimate_of(*ready.meter, trainer.optimiser()); },
      .evaluate =
          [&](const HeldOutSets& sets) {
            return evaluate(trainer, {sets, sample_maker(ready), 2 * batch}, static_cast<size_t>(batch));
          },
      .write =
          [&](const std::filesystem::path& folder) { models::write_tuned_meter(*ready.meter, ready.plan, folder); }};
  if (options.dry_run && searches(recipe))
    check_meter_search(recipe, *ready.meter, steps_of(recipe, ranks, records_per_epoch(setup.data)));
  RunResult result = tune_model(recipe, options, std::move(tuned), std::move(setup));
  if (ready.task == models::MeterTask::vqa && use->unknown > 0 && options.on_note && ranks.first())
    options.on_note(concat(use->unknown.load(), " of ", use->samples.load(),
                           " samples had no answer that the head vqa knows; they teach that every label is wrong"));
  return result;
}

}  // namespace lithe::tune
