#include "tune/tuning_phase.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <limits>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/resident_peak.h"
#include "io/new_folder.h"
#include "ops/allocation_meter.h"
#include "tune/held_out.h"
#include "tune/held_out_samples.h"
#include "tune/meter_sample.h"
#include "tune/meter_trainer.h"
#include "tune/output.h"
#include "tune/recipe_options.h"
#include "tune/resumption.h"
#include "tune/run_files.h"
#include "tune/sample.h"
#include "tune/schedule.h"
#include "tune/search_files.h"
#include "tune/search_run.h"
#include "tune/step_log.h"
#include "tune/step_samples.h"
#include "tune/trainer.h"
#include "tune/training_state.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;

/// "3, 7, 9"
std::string layers_text(const std::vector<int64_t>& layers) {
  std::string text;
  for (const int64_t layer : layers) text += concat(text.empty() ? "" : ", ", layer);
  return text;
}

/// What the log says of a step besides its loss.
Json more_of(const StepResult& step) {
  return {{"labels", step.labels},
          {"kept_share", step.kept.share()},
          {"kept_shares", step.kept.shares()},
          {"router_weights", step.kept.router_weights()}};
}
Json more_of(const MeterStep& step) {
  return {{"labels", step.labels}};
}

double kept_share(const StepResult& step) {
  return step.kept.share();
}
double kept_share(const MeterStep&) {
  return 1;
}

template <class Sample, class Trainer>
class TuningPhase {
 public:
  TuningPhase(const Recipe& recipe, const RunOptions& options, TunedModel<Sample, Trainer> model, TuningSetup setup)
      : recipe_(recipe),
        options_(options),
        model_(std::move(model)),
        ranks_(setup.ranks),
        searched_(std::move(setup.searched)),
        held_out_(std::move(setup.eval_data)) {
    resumed_ = options.dry_run ? std::nullopt : checkpoint_to_resume(recipe);
    if (resumed_) point_ = read_training_state(*resumed_, optimiser());
    begin_settings();
    RecordStreamOptions records = record_stream_options(recipe, ranks_);
    if (options.dry_run) records.skip_bad_samples = std::numeric_limits<int64_t>::max();
    stream_.emplace(std::move(setup.data), records, model_.maker, point_.taken, point_.skipped);
    if (options.on_note) stream_->on_skipped(options.on_note);
    samples_.emplace(recipe, *stream_, ranks_, point_.skipped);
    steps_ = steps_of(recipe, ranks_, stream_->per_epoch());
    shape_ = {recipe.lr_scheduler_type, warmup_steps_of(recipe.warmup_steps, recipe.warmup_ratio, steps_), steps_};
  }

  /// Reads every sample of an epoch and tries one step at a rate of 0. Nothing is written.
  RunResult try_out() {
    RunEstimate estimate = model_.estimate();
    estimate.steps = steps_;
    if (searches(recipe_)) estimate.search_steps = recipe_.eas->search.steps.value_or(steps_);
    std::vector<Sample> longest;  // a batch of the longest samples, so that memory is what it may come to
    const int64_t takes = steps_ * global_batch(recipe_, ranks_), epochs = takes / stream_->per_epoch();
    int64_t bad_of_last_epoch = 0;  // if that is the first one too, its order is known
    for (int64_t i = 0; i < stream_->per_epoch() && !options_.stop.stop_requested(); ++i) {
      std::optional<Sample> sample = stream_->take();
      if (!sample && epochs == 0 && i < takes) ++bad_of_last_epoch;
      if (!sample) continue;
      ++estimate.samples;
      estimate.mean_sample += sample->rows;
      keep_longest(std::move(*sample), longest);
    }
    require(!longest.empty(), Fault::bad_file, "no sample of the data can be used");
    estimate.bad_samples = stream_->skipped();
    estimate.bad_held_out = leave_out_bad(std::numeric_limits<int64_t>::max());
    estimate.refusal = refusal(epochs * estimate.bad_samples + bad_of_last_epoch, estimate.bad_held_out);
    estimate.mean_sample /= std::max<int64_t>(estimate.samples, 1);
    for (const Sample& sample : longest) estimate.longest_sample = std::max(estimate.longest_sample, sample.rows);
    try_step(longest, estimate);
    if (options_.on_begin) options_.on_begin(estimate);
    return result_;
  }

  RunResult train() {
    if (point_.step >= steps_) return finished_before();
    refuse_stateless_after(recipe_.output_dir, point_.step);
    if (ranks_.first()) leave_out_bad(recipe_.skip_bad_samples);
    if (options_.on_begin) begin();
    require_alike(ranks_, recipe_, point_, stream_->per_epoch());
    optimiser().share_parameters();
    std::optional<RunFiles> files;
    if (ranks_.first()) {
      fs::create_directories(recipe_.output_dir);
      remove_parts(recipe_.output_dir);
      drop_checkpoints_after(point_.step);
      files.emplace(recipe_, point_.step);
      if (searched_) files->searched(redundancy_chart(*searched_));
    }
    while (point_.step < steps_ && !ranks_.any(options_.stop.stop_requested())) {
      StepRecord record = one_step();
      result_.last_loss = record.loss;
      const bool scored = due(recipe_.save_steps) && !recipe_.metric_for_best_model.empty();
      const bool evaluates = due(recipe_.eval_steps) || scored || point_.step == steps_;
      const std::exception_ptr failure = evaluates ? evaluate_now(record) : nullptr;
      if (files) files->step(record);
      if (evaluates && !held_out_.empty() && ranks_.any(failure != nullptr)) save_and_fail(failure);
      if (due(recipe_.save_steps)) save();
    }
    result_.steps = point_.step;
    result_.stopped = point_.step < steps_;
    if ((result_.stopped || recipe_.save_steps > 0) && last_saved_ != point_.step) save();
    if (!result_.stopped) {
      if (ranks_.first()) put_whole(recipe_.output_dir, model_.write);
      result_.output = recipe_.output_dir;
    }
    if (files) files->report(facts(), answers());
    ranks_.wait();
    return result_;
  }

 private:
  void begin() const {
    RunEstimate estimate = model_.estimate();
    estimate.steps = steps_;
    estimate.samples = stream_->per_epoch();
    options_.on_begin(estimate);
  }

  /// A run that is resumed after its last step. A kill may have come before its model was written.
  RunResult finished_before() {
    const bool whole = !resumed_ || holds_tuned(recipe_.output_dir, *resumed_);
    note(whole ? std::string("the run is finished already; its files stay as they are")
               : concat("the run is finished already; its model is written from ", resumed_->filename().string()));
    if (!whole && ranks_.first()) {
      fs::create_directories(recipe_.output_dir);
      put_whole(recipe_.output_dir, model_.write);
    }
    const std::vector<StepRecord> log = read_step_log(fs::path(recipe_.output_dir) / "log.jsonl");
    if (!log.empty()) result_.last_loss = log.back().loss;
    result_.steps = point_.step;
    result_.output = recipe_.output_dir;
    return result_;
  }

  /// Looks at every held-out record before the first step, and leaves out those that can't be used; tells how many.
  /// Throws the error of one if more than `most` are bad, and if none is good.
  int64_t leave_out_bad(int64_t most) {
    if (held_out_.empty()) return 0;
    const std::vector<RecordPlace> bad = bad_records<Sample>(held_out_, model_.held_out_maker, most, options_.on_note);
    held_out_ = without(std::move(held_out_), bad);
    const bool any = std::any_of(held_out_.begin(), held_out_.end(), [](const auto& set) { return set->size() > 0; });
    require(any || bad.empty(), Fault::bad_file, "no record of eval_data can be used");
    return std::ssize(bad);
  }

  /// Why the run would end; empty: it would not.
  std::string refusal(int64_t bad, int64_t bad_held_out) const {
    const char* const advice = "; mend them, or let the recipe say how many skip_bad_samples may leave out";
    const auto sentence = [&](int64_t count, const char* what) {
      return concat("the run would end: it would leave out ", count, what, ", and skip_bad_samples is ",
                    recipe_.skip_bad_samples, advice);
    };
    if (bad > recipe_.skip_bad_samples) return sentence(bad, bad == 1 ? " sample" : " samples");
    if (bad_held_out <= recipe_.skip_bad_samples) return "";
    return sentence(bad_held_out, bad_held_out == 1 ? " record of eval_data" : " records of eval_data");
  }

  void try_step(const std::vector<Sample>& samples, RunEstimate& estimate) {
    const auto meter = std::make_shared<ops::AllocationMeter>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
    const auto begin = std::chrono::steady_clock::now();
    const std::span<const Sample> batch(samples);
    forget_resident_peak();
    model_.trainer.step({&batch, 1}, 0);
    estimate.peak_bytes = resident_peak_bytes();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    estimate.seconds_per_step = took.count() * static_cast<double>(recipe_.gradient_accumulation_steps);
    estimate.activation_bytes = std::max<int64_t>(meter->peak() - meter->now(), 0);  // gradients stay
  }

  void keep_longest(Sample sample, std::vector<Sample>& longest) const {
    const auto shorter = [](const Sample& a, const Sample& b) { return a.rows < b.rows; };
    longest.push_back(std::move(sample));
    if (static_cast<int64_t>(longest.size()) <= recipe_.per_device_train_batch_size) return;
    longest.erase(std::min_element(longest.begin(), longest.end(), shorter));
  }

  /// Says which settings are other ones than those of the run that goes on. What a process takes at a time may change
  /// with the number of processes, as long as a step takes as many samples as before.
  void begin_settings() {
    point_.recipe = compare_settings(recipe_, point_.recipe, [this](const std::string& sentence) { note(sentence); });
    const int64_t batch = global_batch(recipe_, ranks_);
    if (point_.batch != 0 && point_.batch != batch)
      note(concat("goes on with ", batch, " samples a step instead of ", point_.batch,
                  ", so its losses may be other ones"));
    point_.batch = batch;
  }

  bool due(int64_t every) const { return every > 0 && point_.step % every == 0; }

  /// Tells what is the same on all ranks.
  void note(const std::string& sentence) const {
    if (options_.on_note && ranks_.first()) options_.on_note(sentence);
  }

  StepRecord one_step() {
    const auto begin = std::chrono::steady_clock::now();
    samples_->next();
    point_.skipped = samples_->skipped();
    const double factor = rate_factor(shape_, point_.step);
    const auto step = model_.trainer.step(samples_->batches(), factor);
    ++point_.step;
    point_.taken += point_.batch;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    const StepReport report{.step = point_.step,
                            .steps = steps_,
                            .loss = step.loss,
                            .grad_norm = step.grad_norm,
                            .lr = optimiser().groups().front().learning_rate * factor,
                            .rows = step.rows,
                            .seconds = took.count(),
                            .kept_share = kept_share(step)};
    if (options_.on_step) options_.on_step(report);
    return {report.step, report.loss, report.grad_norm, report.lr, report.rows, report.seconds, more_of(step)};
  }

  /// What went wrong; null: nothing.
  std::exception_ptr evaluate_now(StepRecord& record) {
    if (held_out_.empty() || !ranks_.first()) return nullptr;
    try {
      evaluate_into(record);
      return nullptr;
    } catch (...) {
      return std::current_exception();
    }
  }

  void evaluate_into(StepRecord& record) {
    Evaluation evaluation = model_.evaluate(held_out_);
    last_evaluated_ = point_.step;
    evaluation.step = point_.step;
    record.more["eval_loss"] = evaluation.loss;
    if (evaluation.exact_match) record.more["eval_score"] = *evaluation.exact_match;
    if (options_.on_evaluation) options_.on_evaluation(evaluation);
    result_.last_evaluation = std::move(evaluation);
  }

  /// An evaluation that fails costs nothing of what was learnt. `failure`: of this rank; the others wait for the
  /// sentence of the one that has it.
  [[noreturn]] void save_and_fail(const std::exception_ptr& failure) {
    save();
    note(concat("the evaluation after step ", point_.step, " failed; checkpoint-", point_.step,
                " holds the run, which goes on from there with `resume_from_checkpoint: true`"));
    if (failure) std::rethrow_exception(failure);
    while (true) ranks_.wait();
  }

  void save() {
    last_saved_ = point_.step;
    if (!ranks_.first()) return write_training_state(std::nullopt, point_, optimiser());
    const fs::path place = fs::path(recipe_.output_dir) / concat("checkpoint-", point_.step);
    io::NewFolder folder(model_.folder, place);
    model_.write(folder.part());
    note_score(place);
    write_training_state(folder.part(), point_, optimiser());
    folder.commit();
    if (options_.on_checkpoint) options_.on_checkpoint(place);
    if (recipe_.save_total_limit) keep_newest(recipe_.output_dir, *recipe_.save_total_limit, point_.best_checkpoint);
  }

  /// Whether this checkpoint is the best so far, by its own evaluation.
  void note_score(const fs::path& place) {
    if (recipe_.metric_for_best_model.empty() || last_evaluated_ != point_.step) return;
    const Evaluation& evaluation = *result_.last_evaluation;
    const double score = evaluation.exact_match.value_or(-evaluation.loss);
    if (!std::isfinite(score) || (point_.best && score <= *point_.best)) return;
    point_.best = score;
    point_.best_checkpoint = place.filename().string();
  }

  std::vector<std::pair<std::string, std::string>> facts() const {
    int64_t learn = 0;
    optimiser().for_each_parameter([&](const Parameter& parameter) { learn += parameter.values.numel(); });
    std::vector<std::pair<std::string, std::string>> facts{{"parameters that learn", std::to_string(learn)},
                                                           {"steps", std::to_string(point_.step)}};
    if (!recipe_.head.empty()) facts.emplace_back("head", recipe_.head);
    if (searched_) facts.emplace_back("attentions that the search skips", layers_text(searched_->skipped));
    if (!point_.best_checkpoint.empty()) facts.emplace_back("best checkpoint", point_.best_checkpoint);
    return facts;
  }

  std::vector<ReportedAnswer> answers() const {
    std::vector<ReportedAnswer> answers;
    if (!result_.last_evaluation) return answers;
    for (const SampleAnswer& one : result_.last_evaluation->answers)
      answers.push_back({one.name, one.question, one.expected, one.answer, one.right});
    return answers;
  }

  void drop_checkpoints_after(int64_t step) const {
    for (const CheckpointFolder& checkpoint : checkpoints_in(recipe_.output_dir)) {
      if (checkpoint.step <= step) continue;
      note(concat("removed checkpoint-", checkpoint.step, ", as this run repeats those steps"));
      remove(checkpoint);
    }
  }

  AdamW& optimiser() const { return model_.trainer.optimiser(); }

  const Recipe& recipe_;
  const RunOptions& options_;
  const TunedModel<Sample, Trainer> model_;
  const Ranks ranks_;
  const std::optional<SearchResult> searched_;
  HeldOutSets held_out_;
  std::optional<fs::path> resumed_;  ///< The checkpoint that the run goes on from.
  RunPoint point_;
  std::optional<RecordStream<Sample>> stream_;
  std::optional<StepSamples<Sample>> samples_;
  int64_t steps_ = 0, last_evaluated_ = -1, last_saved_ = -1;
  RateShape shape_;
  RunResult result_;
};

}  // namespace

template <class Sample, class Trainer>
RunResult tune_model(const Recipe& recipe, const RunOptions& options, TunedModel<Sample, Trainer> model,
                     TuningSetup setup) {
  TuningPhase<Sample, Trainer> phase(recipe, options, std::move(model), std::move(setup));
  return options.dry_run ? phase.try_out() : phase.train();
}

template RunResult tune_model(const Recipe&, const RunOptions&, TunedModel<Sample, Trainer>, TuningSetup);
template RunResult tune_model(const Recipe&, const RunOptions&, TunedModel<MeterSample, MeterTrainer>, TuningSetup);

}  // namespace lithe::tune
