#include "tune/search_phase.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <span>

#include "base/error.h"
#include "io/atomic_file.h"
#include "io/new_folder.h"
#include "tune/compared_samples.h"
#include "tune/meter_sample.h"
#include "tune/meter_trainer.h"
#include "tune/recipe_options.h"
#include "tune/resumption.h"
#include "tune/sample.h"
#include "tune/schedule.h"
#include "tune/search_files.h"
#include "tune/step_log.h"
#include "tune/step_samples.h"
#include "tune/trainer.h"
#include "tune/training_state.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using EvaluateOn = EasSearchRecipe::EvaluateOn;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

int64_t warm_up_of(const EasSearchRecipe& search, int64_t steps) {
  return search.warmup_steps.value_or(steps / 2);
}

void check_steps(const EasSearchRecipe& search, int64_t steps) {
  const int64_t first = std::max(warm_up_of(search, steps), search.every_steps);
  require(first <= steps, Fault::bad_request, "the search has ", steps,
          " steps, but compares draws for the first time ", "after step ", first,
          "; give it more steps or more time, or lower every_steps and warmup_steps of eas.search");
}

template <class Sample, class Trainer>
class SearchPhase {
 public:
  SearchPhase(const Recipe& recipe, const RunOptions& options, SearchedModel<Sample, Trainer> model, SearchSetup setup)
      : recipe_(recipe),
        settings_(recipe.eas->search),
        options_(options),
        model_(std::move(model)),
        setup_(std::move(setup)),
        ranks_(setup_.ranks),
        compared_(recipe, ranks_, setup_.data, std::move(setup_.eval_data)) {
    say_what_is_compared();
    if (setup_.resumed) position_ = read_position(*setup_.resumed);
    if (position_.steps == 0) position_.steps = count_steps();
    search_.emplace(task(), redundancy_settings(settings_));
    trainer_ = model_.trainer();
    if (setup_.resumed) {
      search_->restore(position_.search, position_file(*setup_.resumed).string());
      point_ = read_training_state(*setup_.resumed, trainer_->optimiser());
    }
    point_.recipe = compare_settings(recipe, point_.recipe, [this](const std::string& sentence) { note(sentence); });
    open_streams();
    const int64_t warmup = warmup_steps_of(recipe.warmup_steps, recipe.warmup_ratio, position_.steps);
    shape_ = {recipe.lr_scheduler_type, std::min(warmup, position_.steps - 1), position_.steps};
  }

  SearchResult run() {
    require_alike(ranks_, recipe_, point_, stream_->per_epoch());
    trainer_->optimiser().share_parameters();
    if (ranks_.first()) {
      io::make_folder(setup_.folder);
      forget_found(setup_.folder);  // of another search
      log_.emplace(setup_.folder / "log.jsonl", point_.step);
    }
    begun_ = saved_at_ = Clock::now();
    bool stops = false;
    search_->run(
        {.train = [this](const plan::Plan& plan) { return train(plan); },
         .begin_comparison = [this](RedundancySettings::Samples) { compared_.next(samples_->held()); },
         .loss = [this](const plan::Plan& plan) { return compare(plan); }},
        [this](const SearchProgress& progress) { after_step(progress); },
        [&] {
          stops = ranks_.any(options_.stop.stop_requested());
          return stops || ranks_.any(is_out_of_time());
        });
    SearchResult result{.steps = point_.step,
                        .comparisons = search_->comparisons(),
                        .stopped = !search_->done() && stops,
                        .ranking = search_->ranked(),
                        .by_layer = goes_by_layer(),
                        .folder = setup_.folder};
    if (result.stopped) {
      if (last_saved_ != point_.step) save();
      return result;
    }
    finish(result);
    return result;
  }

 private:
  bool goes_by_layer() const {
    return std::none_of(model_.candidates.begin(), model_.candidates.end(),
                        [](const Candidate& one) { return one.number.has_value(); });
  }

  void say_what_is_compared() const {
    if (!compared_.kept_out()) return;
    const int64_t records = compared_.records();
    note(concat("the search compares draws on ", records, records == 1 ? " sample" : " samples",
                " of data, which it does not train on; give eval_data to compare them on others"));
  }

  /// What the recipe says; fewer if they would not fit into the time.
  int64_t count_steps() {
    int64_t steps = settings_.steps.value_or(setup_.steps);
    if (setup_.seconds) {
      constexpr double kMargin = 0.9;
      double fit = ranks_.first() ? kMargin * *setup_.seconds : 0;
      fit /= seconds_per_step();
      ranks_.sum({&fit, 1});  // what the first one measured
      if (fit < static_cast<double>(steps)) steps = static_cast<int64_t>(fit);
      note(concat("the search plans ", steps, " steps for the time that it has"));
    }
    check_steps(settings_, steps);
    return steps;
  }

  /// Of a step and its part of a comparison: tried at a rate of 0, by a trainer of its own.
  double seconds_per_step() {
    const std::vector<Sample> samples = first_samples();
    const std::span<const Sample> batch(samples);
    const std::unique_ptr<Trainer> trainer = model_.trainer();
    trainer->step({&batch, 1}, 0);  // the first one is slow
    auto begin = Clock::now();
    trainer->step({&batch, 1}, 0);
    const double step = since(begin) * static_cast<double>(recipe_.gradient_accumulation_steps);
    begin = Clock::now();
    (void)trainer->loss(batch);
    const double batches = static_cast<double>(compared_.count()) /
                           static_cast<double>(static_cast<int64_t>(samples.size()) * ranks_.size());
    return step +
           since(begin) * batches * static_cast<double>(settings_.draws) / static_cast<double>(settings_.every_steps);
  }

  /// A batch to try, without records that may be left out.
  std::vector<Sample> first_samples() const {
    std::vector<Sample> samples;
    int64_t bad = 0;
    for (const WeightedSet& set : setup_.data) {
      for (int64_t i = 0; i < set.records->size(); ++i) {
        if (static_cast<int64_t>(samples.size()) == recipe_.per_device_train_batch_size) return samples;
        try {
          samples.push_back(model_.maker(set.records->read(i)));
        } catch (const Error&) {
          if (++bad > recipe_.skip_bad_samples) throw;
        }
      }
    }
    require(!samples.empty(), Fault::bad_file, "no sample of the data can be used");
    return samples;
  }

  SearchTask task() const {
    return {.base = model_.plan,
            .candidates = model_.candidates,
            .skipped = *recipe_.eas->skip_count,
            .warm_up = warm_up_of(settings_, position_.steps),
            .steps = position_.steps,
            .seed = static_cast<uint64_t>(recipe_.seed)};
  }

  void open_streams() {
    const auto told = [this](const std::string& sentence) {
      if (options_.on_note) options_.on_note(sentence);
    };
    const RecordStreamOptions records = record_stream_options(recipe_, ranks_);
    stream_.emplace(std::move(setup_.data), records, model_.maker, point_.taken, point_.skipped);
    stream_->on_skipped(told);
    samples_.emplace(recipe_, *stream_, ranks_, point_.skipped);
    compared_.open(model_.maker, records, position_.held_out_taken, position_.held_out_skipped, told);
  }

  double train(const plan::Plan& plan) {
    const auto begin = Clock::now();
    samples_->next();
    trainer_->set_plan(plan);
    const double factor = rate_factor(shape_, point_.step);
    const auto step = trainer_->step(samples_->batches(), factor);
    ++point_.step;
    point_.taken += global_batch(recipe_, ranks_);
    point_.skipped = samples_->skipped();
    record_ = {.step = point_.step,
               .loss = step.loss,
               .grad_norm = step.grad_norm,
               .lr = trainer_->optimiser().groups().front().learning_rate * factor,
               .tokens = step.rows,
               .seconds = since(begin),
               .more = {{"labels", step.labels}, {"skips", model_.skipped(plan)}}};
    return step.loss;
  }

  double compare(const plan::Plan& plan) {
    trainer_->set_plan(plan);
    return compared_.loss(*trainer_);
  }

  void after_step(const SearchProgress& progress) {
    if (log_) log_->write(record_);
    if (options_.on_search)
      options_.on_search({.step = progress.step,
                          .steps = progress.steps,
                          .loss = progress.loss,
                          .comparisons = progress.comparisons,
                          .compared = progress.comparisons != seen_comparisons_,
                          .seconds = seconds(),
                          .ranking = search_->ranked()});
    seen_comparisons_ = progress.comparisons;
    if (recipe_.save_steps > 0 && (point_.step % recipe_.save_steps == 0 || is_long_ago())) save();
  }

  double seconds() const { return position_.seconds + since(begun_); }
  /// Whether the last checkpoint is, by the clock of the first rank.
  bool is_long_ago() const { return ranks_.any(ranks_.first() && since(saved_at_) >= setup_.save_seconds); }
  bool is_out_of_time() const { return setup_.seconds && seconds() >= *setup_.seconds; }

  /// Replaces the checkpoint before it: no other is needed to go on.
  void save() {
    last_saved_ = point_.step;
    saved_at_ = Clock::now();
    if (!ranks_.first()) return write_training_state(std::nullopt, point_, trainer_->optimiser());
    const fs::path place = setup_.folder / concat("checkpoint-", point_.step);
    io::NewFolder folder(model_.folder, place);
    write_position(folder.part(),
                   {position_.steps, compared_.taken(), compared_.skipped(), seconds(), search_->state()});
    write_training_state(folder.part(), point_, trainer_->optimiser());
    folder.commit();
    for (const CheckpointFolder& checkpoint : checkpoints_in(setup_.folder))
      if (checkpoint.step != point_.step) remove(checkpoint);
    if (options_.on_checkpoint) options_.on_checkpoint(place);
  }

  void finish(SearchResult& result) {
    result.skipped = model_.skipped(search_->plan());
    say_if_by_chance(result);
    if (ranks_.first()) {
      write_found(setup_.folder, result, *search_);
      for (const CheckpointFolder& checkpoint : checkpoints_in(setup_.folder)) remove(checkpoint);
    }
    ranks_.wait();
  }

  /// Each comparison says something of the attentions that its draws skip, and of no other.
  void say_if_by_chance(const SearchResult& result) const {
    constexpr double kFew = 20;
    const double compared = static_cast<double>(result.comparisons * settings_.draws * *recipe_.eas->skip_count) /
                            static_cast<double>(result.ranking.size());
    if (compared >= kFew) return;
    note(concat("each attention was in ", std::llround(compared), " of the draws that were compared, on average; with ",
                "fewer than ", kFew, " the ranking is mostly chance, so give the search more steps or more draws"));
  }

  void note(const std::string& sentence) const {
    if (options_.on_note && ranks_.first()) options_.on_note(sentence);
  }

  const Recipe& recipe_;
  const EasSearchRecipe& settings_;
  const RunOptions& options_;
  SearchedModel<Sample, Trainer> model_;
  SearchSetup setup_;
  const Ranks ranks_;
  ComparedSamples<Sample> compared_;
  SearchPosition position_;
  RunPoint point_;
  std::optional<Search> search_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<RecordStream<Sample>> stream_;
  std::optional<StepSamples<Sample>> samples_;
  RateShape shape_;
  StepRecord record_;
  std::optional<StepLog> log_;  // of the first rank
  Clock::time_point begun_, saved_at_;
  int64_t seen_comparisons_ = 0, last_saved_ = -1;
};

}  // namespace

RedundancySettings redundancy_settings(const EasSearchRecipe& search) {
  using Samples = RedundancySettings::Samples;
  const Samples samples = search.evaluate_on == EvaluateOn::held_out         ? Samples::held_out
                          : search.evaluate_on == EvaluateOn::training_batch ? Samples::training
                                                                             : Samples::first_held_out;
  return {.probability = search.bandit == EasSearchRecipe::Bandit::softmax ? RedundancySettings::Probability::softmax
                                                                           : RedundancySettings::Probability::sigmoid,
          .rate = search.update_rate(),
          .interval = search.every_steps,
          .draws = search.draws,
          .ramp = search.ramp,
          .samples = samples,
          .dropout = search.evaluate_with_dropout};
}

void check_search(const Recipe& recipe, std::vector<Candidate> candidates, int64_t steps) {
  const EasSearchRecipe& search = recipe.eas->search;
  steps = search.steps.value_or(steps);
  check_steps(search, steps);
  Search(SearchTask{.base = {},
                    .candidates = std::move(candidates),
                    .skipped = *recipe.eas->skip_count,
                    .warm_up = warm_up_of(search, steps),
                    .steps = steps},
         redundancy_settings(search));
}

template <class Sample, class Trainer>
SearchResult search_attentions(const Recipe& recipe, const RunOptions& options, SearchedModel<Sample, Trainer> model,
                               SearchSetup setup) {
  return SearchPhase<Sample, Trainer>(recipe, options, std::move(model), std::move(setup)).run();
}

template SearchResult search_attentions(const Recipe&, const RunOptions&, SearchedModel<Sample, Trainer>, SearchSetup);
template SearchResult search_attentions(const Recipe&, const RunOptions&, SearchedModel<MeterSample, MeterTrainer>,
                                        SearchSetup);

}  // namespace lithe::tune
