#include "tune/meter_run.h"

#include <deque>
#include <filesystem>
#include <future>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/worker_pool.h"
#include "checkpoints/write/meter_folder.h"
#include "tune/meter_ready.h"
#include "tune/meter_trainer.h"
#include "tune/recipe_data.h"
#include "tune/recipe_options.h"
#include "tune/tuning_phase.h"

namespace lithe::tune {
namespace {

/// Samples of held-out records, one after another. Threads make some of them ahead.
class HeldOutSamples {
 public:
  HeldOutSamples(const HeldOutSets& sets, SampleMaker<MeterSample> maker, size_t ahead)
      : sets_(sets), maker_(std::move(maker)), ahead_(ahead) {}

  /// The next ones; fewer at the end, then none.
  std::vector<MeterSample> next(size_t count) {
    std::vector<MeterSample> samples;
    for (begin_some(); !coming_.empty() && samples.size() < count; begin_some()) {
      samples.push_back(coming_.front().get());
      coming_.pop_front();
    }
    return samples;
  }

 private:
  void begin_some() {
    while (set_ < sets_.size() && coming_.size() < ahead_) {
      const data::DataSet& set = *sets_[set_];
      if (record_ == set.size()) {
        ++set_;
        record_ = 0;
        continue;
      }
      coming_.push_back(pool_.begin([this, &set, i = record_++] { return maker_.make(set.read(i)); }));
    }
  }

  const HeldOutSets& sets_;
  const SampleMaker<MeterSample> maker_;
  const size_t ahead_;
  size_t set_ = 0;
  int64_t record_ = 0;
  std::deque<std::future<MeterSample>> coming_;
  WorkerPool pool_{2};  // last: its tasks use what is above
};

/// The mean loss over samples, of which a few at a time are in memory.
Evaluation evaluate(const MeterTrainer& trainer, HeldOutSamples samples, size_t batch) {
  double sum = 0, count = 0;
  for (std::vector<MeterSample> some = samples.next(batch); !some.empty(); some = samples.next(batch)) {
    sum += trainer.loss(some) * static_cast<double>(some.size());
    count += static_cast<double>(some.size());
  }
  require(count > 0, Fault::bad_file, "eval_data holds no record");
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
  const ReadyMeter ready = ready_meter(recipe, setup.data, searched ? searched->skipped : std::vector<int64_t>());
  setup.searched = std::move(searched);
  MeterTrainer trainer(*ready.meter, ready.task, ready.plan, meter_trainer_options(recipe, ranks));
  const auto batch = static_cast<size_t>(recipe.per_device_train_batch_size);
  TunedModel<MeterSample, MeterTrainer> tuned{
      .folder = ready.meter->checkpoint,
      .trainer = trainer,
      .maker = sample_maker(ready),
      .estimate = [&] { return estimate_of(*ready.meter, trainer.optimiser()); },
      .evaluate =
          [&](const HeldOutSets& sets) {
            return evaluate(trainer, {sets, sample_maker(ready), 2 * batch}, batch);
          },
      .write =
          [&](const std::filesystem::path& folder) { models::write_tuned_meter(*ready.meter, ready.plan, folder); }};
  return tune_model(recipe, options, std::move(tuned), std::move(setup));
}

}  // namespace lithe::tune
