#include "tune/meter_run.h"

#include <algorithm>
#include <filesystem>

#include "base/clock.h"
#include "base/error.h"
#include "checkpoints/write/meter_folder.h"
#include "io/atomic_file.h"
#include "io/new_folder.h"
#include "plan/meter_sites.h"
#include "plan/parse.h"
#include "tune/held_out.h"
#include "tune/launch.h"
#include "tune/meter_ready.h"
#include "tune/meter_stream.h"
#include "tune/meter_trainer.h"
#include "tune/output.h"
#include "tune/recipe_data.h"
#include "tune/recipe_options.h"
#include "tune/resumption.h"
#include "tune/run_files.h"
#include "tune/schedule.h"
#include "tune/search.h"
#include "tune/search_files.h"
#include "tune/search_phase.h"
#include "tune/training_state.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using EvaluateOn = EasSearchRecipe::EvaluateOn;

std::vector<WeightedSet> open_sets(const std::vector<DataSet>& sets) {
  return open_sets(sets, "meter", {});
}

MeterTrainer::Options trainer_options(const Recipe& recipe) {
  return {.rates = {.learning_rate = recipe.learning_rate,
                    .mm_vision_tower_lr = recipe.mm_vision_tower_lr,
                    .head_lr = recipe.head_lr,
                    .cross_modal_lr = recipe.cross_modal_lr,
                    .weight_decay = recipe.weight_decay},
          .adamw = {recipe.adam_beta1, recipe.adam_beta2, recipe.adam_epsilon},
          .max_grad_norm = recipe.max_grad_norm};
}

/// The samples of a step, batch by batch.
std::vector<std::vector<MeterSample>> next_batches(const Recipe& recipe, MeterStream& stream) {
  std::vector<std::vector<MeterSample>> batches;
  for (int64_t i = 0; i < recipe.gradient_accumulation_steps; ++i)
    batches.push_back(stream.next(recipe.per_device_train_batch_size));
  return batches;
}

MeterStep train_on(const std::vector<std::vector<MeterSample>>& batches, MeterTrainer& trainer, double factor) {
  const std::vector<MeterBatch> views(batches.begin(), batches.end());
  return trainer.step(views, factor);
}

double mean_loss(const MeterTrainer& trainer, MeterBatch samples, int64_t batch) {
  double sum = 0;
  for (size_t first = 0; first < samples.size(); first += static_cast<size_t>(batch)) {
    const MeterBatch part = samples.subspan(first, std::min(static_cast<size_t>(batch), samples.size() - first));
    sum += trainer.loss(part) * static_cast<double>(part.size());
  }
  return sum / static_cast<double>(std::max<size_t>(samples.size(), 1));
}

class MeterSearch {
 public:
  MeterSearch(const Recipe& recipe, const RunOptions& options, fs::path folder)
      : recipe_(recipe), settings_(recipe.eas->search), options_(options), folder_(std::move(folder)) {
    std::vector<WeightedSet> sets = open_sets(recipe.data);
    ready_ = ready_meter(recipe, sets);
    ready_.plan = {};
    std::vector<WeightedSet> held_out = compared_sets(recipe, sets, open_sets(recipe.eval_data));
    const auto seed = static_cast<uint64_t>(recipe.seed);
    stream_.emplace(*ready_.meter, ready_.task, ready_.classes, std::move(sets), recipe.shuffle, seed);
    if (!held_out.empty())
      held_out_.emplace(*ready_.meter, ready_.task, ready_.classes, std::move(held_out), true, seed ^ kHeldOutSeed);
    MeterTrainer::Options trainer = trainer_options(recipe);
    if (settings_.learning_rate) trainer.rates.learning_rate = *settings_.learning_rate;
    trainer_.emplace(*ready_.meter, ready_.task, ready_.plan, trainer);
  }

  SearchResult run() {
    const int64_t steps = settings_.steps.value_or(steps_of(recipe_, {}, stream_->per_epoch()));
    Search search(task(steps), redundancy_settings(settings_));
    shape_ = {recipe_.lr_scheduler_type, warmup_steps_of(recipe_.warmup_steps, recipe_.warmup_ratio, steps), steps};
    io::make_folder(folder_);
    StepLog log(folder_ / "log.jsonl", 0);
    const Stopwatch clock;
    search.run(
        {.train = [&](const plan::Plan& plan) { return train(plan); },
         .begin_comparison = [&](RedundancySettings::Samples) { take_held_out(); },
         .loss = [&](const plan::Plan& plan) { return compare(plan); }},
        [&](const SearchProgress& progress) {
          log.write(record_);
          if (options_.on_search)
            options_.on_search({.step = progress.step,
                                .steps = progress.steps,
                                .loss = progress.loss,
                                .comparisons = progress.comparisons,
                                .compared = progress.comparisons != compared_,
                                .seconds = clock.elapsed_ms() / 1e3,
                                .ranking = by_number(search)});
          compared_ = progress.comparisons;
        },
        [&] { return options_.stop.stop_requested(); });
    SearchResult result{.steps = search.done() ? steps : step_,
                        .comparisons = search.comparisons(),
                        .stopped = !search.done(),
                        .ranking = by_number(search),
                        .folder = folder_};
    if (!result.stopped) write(search, result);
    return result;
  }

 private:
  SearchTask task(int64_t steps) const {
    const int64_t layers = ready_.meter->streams.config.layers;
    SearchTask task{.base = ready_.plan,
                    .candidates = {},
                    .skipped = *recipe_.eas->skip_count,
                    .warm_up = settings_.warmup_steps.value_or(steps / 2),
                    .steps = steps,
                    .seed = static_cast<uint64_t>(recipe_.seed)};
    for (int64_t number = 0; number < 4 * layers; ++number) {
      const plan::MeterSite site = plan::meter_site(number, layers);
      task.candidates.push_back({{site.stream, site.layer}, site.cross ? "cross" : "self"});
    }
    return task;
  }

  double train(const plan::Plan& plan) {
    const Stopwatch clock;
    trainer_->set_plan(plan);
    const double factor = rate_factor(shape_, step_);
    batches_ = next_batches(recipe_, *stream_);
    const MeterStep step = train_on(batches_, *trainer_, factor);
    ++step_;
    record_ = {.step = step_,
               .loss = step.loss,
               .grad_norm = step.grad_norm,
               .lr = trainer_->optimiser().groups().front().learning_rate * factor,
               .tokens = step.rows,
               .seconds = clock.elapsed_ms() / 1e3,
               .more = {{"skips", plan::meter_sites_off(plan, ready_.meter->streams.config.layers)}}};
    return step.loss;
  }

  void take_held_out() {
    const bool first = settings_.evaluate_on == EvaluateOn::first_batch;
    if (settings_.evaluate_on == EvaluateOn::training_batch) {
      compared_on_.clear();
      for (const auto& batch : batches_) compared_on_.insert(compared_on_.end(), batch.begin(), batch.end());
    } else if (!first || compared_on_.empty()) {
      compared_on_ = held_out_->next(std::min(settings_.held_out, held_out_->per_epoch()));
    }
  }

  double compare(const plan::Plan& plan) {
    trainer_->set_plan(plan);
    return mean_loss(*trainer_, compared_on_, recipe_.per_device_train_batch_size);
  }

  /// The ranking, whose layers are the numbers of the candidates.
  static std::vector<RankedAttention> by_number(const Search& search) {
    std::vector<RankedAttention> ranked = search.ranked();
    const Json report = search.report();
    for (size_t i = 0; i < ranked.size(); ++i)
      ranked[i].layer = report.at("ranking").at(i).at("candidate").get<int64_t>();
    return ranked;
  }

  void write(const Search& search, SearchResult& result) {
    const plan::Plan plan = search.plan();
    result.skipped = plan::meter_sites_off(plan, ready_.meter->streams.config.layers);
    Json report = search.report();
    report["skipped_layers"] = result.skipped;
    io::write_json_atomic(folder_ / "plan.json", plan::to_json(plan));
    io::write_json_atomic(folder_ / "scores.json", report);
  }

  const Recipe& recipe_;
  const EasSearchRecipe& settings_;
  const RunOptions& options_;
  const fs::path folder_;
  ReadyMeter ready_;
  std::optional<MeterStream> stream_, held_out_;
  std::optional<MeterTrainer> trainer_;
  std::vector<std::vector<MeterSample>> batches_;  // of the step at hand
  std::vector<MeterSample> compared_on_;
  RateShape shape_;
  StepRecord record_;
  int64_t step_ = 0, compared_ = 0;
};

class MeterRun {
 public:
  MeterRun(const Recipe& recipe, const RunOptions& options, const std::vector<int64_t>& skipped)
      : recipe_(recipe), options_(options) {
    std::vector<WeightedSet> sets = open_sets(recipe.data);
    ready_ = ready_meter(recipe, sets, skipped);
    trainer_.emplace(*ready_.meter, ready_.task, ready_.plan, trainer_options(recipe));
    const std::optional<fs::path> resumed = options.dry_run ? std::nullopt : checkpoint_to_resume(recipe);
    if (resumed) point_ = read_training_state(*resumed, trainer_->optimiser());
    point_.recipe = compare_settings(recipe, point_.recipe, options.on_note);
    point_.batch = global_batch(recipe, {});
    stream_.emplace(*ready_.meter, ready_.task, ready_.classes, std::move(sets), recipe.shuffle,
                    static_cast<uint64_t>(recipe.seed), point_.taken);
    steps_ = steps_of(recipe, {}, stream_->per_epoch());
    shape_ = {recipe.lr_scheduler_type, warmup_steps_of(recipe.warmup_steps, recipe.warmup_ratio, steps_), steps_};
    if (!recipe.eval_data.empty()) {
      held_out_.emplace(*ready_.meter, ready_.task, ready_.classes, open_sets(recipe.eval_data), false, 0);
    }
  }

  RunResult train() {
    begin();
    if (options_.dry_run) return try_out();
    fs::create_directories(recipe_.output_dir);
    remove_parts(recipe_.output_dir);
    RunFiles files(recipe_, point_.step);
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
    train_on(next_batches(recipe_, *stream_), *trainer_, 0);
    return {};
  }

  bool due(int64_t every) const { return every > 0 && point_.step % every == 0; }

  StepRecord one_step() {
    const Stopwatch clock;
    const double factor = rate_factor(shape_, point_.step);
    const MeterStep step = train_on(next_batches(recipe_, *stream_), *trainer_, factor);
    ++point_.step;
    point_.taken = stream_->taken();
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

  /// The mean over samples, of which a batch at a time is in memory.
  double held_out_loss() const {
    const int64_t count = held_out_->per_epoch(), batch = recipe_.per_device_train_batch_size;
    double sum = 0, seen = 0;
    for (int64_t begin = 0; begin < count; begin += batch) {
      const std::vector<MeterSample> samples = held_out_->between(begin, std::min(begin + batch, count));
      if (samples.empty()) break;  // a set that counts more than once has no more records for it
      sum += trainer_->loss(samples) * static_cast<double>(samples.size());
      seen += static_cast<double>(samples.size());
    }
    return sum / seen;
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
  ReadyMeter ready_;
  std::optional<MeterTrainer> trainer_;
  std::optional<MeterStream> stream_, held_out_;
  RunPoint point_;
  RateShape shape_;
  int64_t steps_ = 0, last_saved_ = -1;
};

void require_alone() {
  require(read_launch().size == 1, Fault::bad_request, "METER is trained in one process; start it without mpirun, ",
          "srun or torchrun");
}

}  // namespace

RunResult run_meter(const Recipe& recipe, const RunOptions& options) {
  require_alone();
  std::vector<int64_t> skipped;
  if (recipe.eas && recipe.eas->skip_count && !options.dry_run) {
    const fs::path folder = fs::path(recipe.output_dir) / "search";
    std::optional<SearchResult> found;
    if (recipe.resume_from_checkpoint) found = finished_search(recipe, folder);
    if (!found) found = MeterSearch(recipe, options, folder).run();
    if (found->stopped) return {.stopped = true, .searching = true};
    skipped = found->skipped;
  }
  return MeterRun(recipe, options, skipped).train();
}

SearchResult search_meter(const Recipe& recipe, const SearchOptions& search, const RunOptions& options) {
  require_alone();
  require(search.plan.empty() && !search.seconds, Fault::bad_request,
          "the search over METER takes neither a plan nor a time; leave both out, and say steps under eas.search");
  return MeterSearch(recipe, options, recipe.output_dir).run();
}

}  // namespace lithe::tune
