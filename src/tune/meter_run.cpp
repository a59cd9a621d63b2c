#include "tune/meter_run.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "checkpoints/write/meter_folder.h"
#include "io/new_folder.h"
#include "tune/launch.h"
#include "tune/meter_ready.h"
#include "tune/meter_search.h"
#include "tune/meter_trainer.h"
#include "tune/output.h"
#include "tune/recipe_data.h"
#include "tune/recipe_options.h"
#include "tune/resumption.h"
#include "tune/run_files.h"
#include "tune/schedule.h"
#include "tune/search_run.h"
#include "tune/step_samples.h"
#include "tune/training_state.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;

std::vector<WeightedSet> open_sets(const std::vector<DataSet>& sets) {
  return open_sets(sets, "meter", {});
}

class MeterRun {
 public:
  MeterRun(const Recipe& recipe, const RunOptions& options, std::optional<SearchResult> searched)
      : recipe_(recipe), options_(options), searched_(std::move(searched)) {
    std::vector<WeightedSet> sets = open_sets(recipe.data);
    ready_ = ready_meter(recipe, sets, searched_ ? searched_->skipped : std::vector<int64_t>());
    trainer_.emplace(*ready_.meter, ready_.task, ready_.plan, meter_trainer_options(recipe));
    const std::optional<fs::path> resumed = options.dry_run ? std::nullopt : checkpoint_to_resume(recipe);
    if (resumed) point_ = read_training_state(*resumed, trainer_->optimiser());
    point_.recipe = compare_settings(recipe, point_.recipe, options.on_note);
    point_.batch = global_batch(recipe, {});
    const RecordStreamOptions records = record_stream_options(recipe, {});
    stream_.emplace(std::move(sets), records, sample_maker(ready_), point_.taken, point_.skipped);
    if (options.on_note) stream_->on_skipped(options.on_note);
    samples_.emplace(recipe, *stream_, Ranks(), point_.skipped);
    steps_ = steps_of(recipe, {}, stream_->per_epoch());
    shape_ = {recipe.lr_scheduler_type, warmup_steps_of(recipe.warmup_steps, recipe.warmup_ratio, steps_), steps_};
    if (!recipe.eval_data.empty()) open_held_out();
  }

  RunResult train() {
    begin();
    if (options_.dry_run) return try_out();
    fs::create_directories(recipe_.output_dir);
    remove_parts(recipe_.output_dir);
    RunFiles files(recipe_, point_.step);
    if (searched_) files.searched(searched_->scores(), searched_->skipped);
    RunResult result;
    while (point_.step < steps_ && !options_.stop.stop_requested()) {
      StepRecord record = one_step();
      result.last_loss = record.loss;
      if (due(recipe_.eval_steps) || point_.step == steps_) evaluate(record, result);
      files.step(record);
      if (due(recipe_.save_steps)) save();
    }
    result.steps = point_.step;
    result.stopped = point_.step < steps_;
    if (result.stopped && last_saved_ != point_.step) save();
    if (!result.stopped) {
      put_whole(recipe_.output_dir,
                [&](const fs::path& part) { models::write_tuned_meter(*ready_.meter, ready_.plan, part); });
      result.output = recipe_.output_dir;
    }
    files.report({{"head", recipe_.head}, {"steps", std::to_string(point_.step)}}, {});
    return result;
  }

 private:
  void begin() const {
    if (!options_.on_begin) return;
    RunEstimate estimate{.steps = steps_, .weight_bytes = ready_.meter->loaded.bytes};
    estimate.samples = stream_->per_epoch();
    RunEstimate::Part part{.name = "METER"};
    visit(*ready_.meter,
          [&](const models::WeightSlot& slot) { part.parameters += models::held_at(slot.place).count(); });
    trainer_->optimiser().for_each_parameter([&](const Parameter& one) { part.learn += one.values.numel(); });
    constexpr int64_t kBytesEach = 12;  // the gradient and AdamW's two numbers
    estimate.optimiser_bytes = kBytesEach * part.learn;
    estimate.parts.push_back(part);
    options_.on_begin(estimate);
  }

  /// One step at a rate of 0.
  RunResult try_out() {
    samples_->next();
    trainer_->step(samples_->batches(), 0);
    return {};
  }

  bool due(int64_t every) const { return every > 0 && point_.step % every == 0; }

  StepRecord one_step() {
    const Stopwatch clock;
    const double factor = rate_factor(shape_, point_.step);
    samples_->next();
    const MeterStep step = trainer_->step(samples_->batches(), factor);
    ++point_.step;
    point_.taken = stream_->taken();
    point_.skipped = samples_->skipped();
    StepRecord record{.step = point_.step,
                      .loss = step.loss,
                      .grad_norm = step.grad_norm,
                      .lr = trainer_->optimiser().groups().front().learning_rate * factor,
                      .tokens = step.rows,
                      .seconds = clock.elapsed_ms() / 1e3};
    if (options_.on_step)
      options_.on_step({.step = record.step,
                        .steps = steps_,
                        .loss = record.loss,
                        .grad_norm = record.grad_norm,
                        .lr = record.lr,
                        .rows = record.tokens,
                        .seconds = record.seconds});
    return record;
  }

  void evaluate(StepRecord& record, RunResult& result) {
    if (!held_out_) return;
    const Evaluation evaluation{
        .step = point_.step, .loss = held_out_loss(), .exact_match = std::nullopt, .answers = {}};
    record.more["eval_loss"] = evaluation.loss;
    if (options_.on_evaluation) options_.on_evaluation(evaluation);
    result.last_evaluation = evaluation;
  }

  /// Each evaluation is an epoch of this stream, in which every record comes once, in the order of the sets.
  void open_held_out() {
    std::vector<WeightedSet> sets = open_sets(recipe_.eval_data);
    for (WeightedSet& set : sets) set.weight = 1;
    RecordStreamOptions records = record_stream_options(recipe_, {});
    records.order.shuffle = false;
    records.ahead = recipe_.per_device_train_batch_size;
    records.skip_bad_samples = 0;
    held_out_.emplace(std::move(sets), records, sample_maker(ready_));
  }

  /// The mean over samples, of which a few at a time are in memory.
  double held_out_loss() {
    const int64_t count = held_out_->per_epoch(), batch = recipe_.per_device_train_batch_size;
    double sum = 0;
    for (int64_t begin = 0; begin < count; begin += batch) {
      std::vector<MeterSample> samples;
      while (static_cast<int64_t>(samples.size()) < std::min(batch, count - begin))
        samples.push_back(held_out_->next());
      sum += trainer_->loss(samples) * static_cast<double>(samples.size());
    }
    return sum / static_cast<double>(count);
  }

  void save() {
    last_saved_ = point_.step;
    const fs::path place = fs::path(recipe_.output_dir) / concat("checkpoint-", point_.step);
    io::NewFolder folder(ready_.meter->checkpoint, place);
    models::write_tuned_meter(*ready_.meter, ready_.plan, folder.part());
    write_training_state(folder.part(), point_, trainer_->optimiser());
    folder.commit();
    if (options_.on_checkpoint) options_.on_checkpoint(place);
    if (recipe_.save_total_limit) keep_newest(recipe_.output_dir, *recipe_.save_total_limit, "");
  }

  const Recipe& recipe_;
  const RunOptions& options_;
  std::optional<SearchResult> searched_;
  ReadyMeter ready_;
  std::optional<MeterTrainer> trainer_;
  std::optional<RecordStream<MeterSample>> stream_, held_out_;
  std::optional<StepSamples<MeterSample>> samples_;
  RunPoint point_;
  RateShape shape_;
  int64_t steps_ = 0, last_saved_ = -1;
};

}  // namespace

void require_alone() {
  require(read_launch().size == 1, Fault::bad_request, "METER is trained in one process; start it without mpirun, ",
          "srun or torchrun");
}

RunResult run_meter(const Recipe& recipe, const RunOptions& options) {
  require_alone();
  std::optional<SearchResult> found = searched(recipe, options, {});
  if (found && found->stopped) return {.stopped = true, .searching = true};
  return MeterRun(recipe, options, std::move(found)).train();
}

}  // namespace lithe::tune
