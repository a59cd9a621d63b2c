#include "tune/search_phase.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "io/atomic_file.h"
#include "io/new_folder.h"
#include "plan/parse.h"
#include "tune/chart.h"
#include "tune/held_out.h"
#include "tune/resumption.h"
#include "tune/schedule.h"
#include "tune/search.h"
#include "tune/step_log.h"
#include "tune/training_state.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using EvaluateOn = EasSearchRecipe::EvaluateOn;
using Clock = std::chrono::steady_clock;

constexpr const char* kState = "search_state.json";  // of a checkpoint
constexpr const char* kScores = "scores.json";       // written last: the search is done
constexpr int64_t kBatchesKeptOut = 8;               // of those that draws are compared on, so that they differ
constexpr uint64_t kHeldOutSeed = 0x68656c64;        // another order than that of the samples that are learnt

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

int64_t warm_up_of(const EasSearchRecipe& search, int64_t steps) {
  return search.warmup_steps.value_or(steps / 2);
}

/// Where a search stands, besides its weights and its optimiser.
struct Position {
  int64_t steps = 0;  ///< Of the search, which a limit of time may have decided.
  int64_t held_out_taken = 0, held_out_skipped = 0;
  double seconds = 0;
  Json search;  ///< Search::state
};

Position read_position(const fs::path& checkpoint) {
  const std::string source = (checkpoint / kState).string();
  const Json json = read_json_file(source);
  const JsonView view(json, source);
  return {view.integer("steps"), view.integer("held_out_taken"), view.integer("held_out_skipped"),
          view.number("seconds"), view.object("search").json()};
}

/// The mean over the labels of samples that run a few at a time.
double loss_of(const Trainer& trainer, MicroBatch samples, int64_t batch) {
  double sum = 0;
  int64_t labels = 0;
  for (size_t first = 0; first < samples.size(); first += static_cast<size_t>(batch)) {
    const MicroBatch part = samples.subspan(first, std::min(static_cast<size_t>(batch), samples.size() - first));
    int64_t learnt = 0;
    for (const Sample& sample : part) learnt += sample.learnt();
    sum += trainer.loss(part) * static_cast<double>(learnt);
    labels += learnt;
  }
  return sum / static_cast<double>(std::max<int64_t>(labels, 1));
}

class SearchPhase {
 public:
  SearchPhase(const Recipe& recipe, const RunOptions& options, SearchParts parts)
      : recipe_(recipe),
        settings_(recipe.eas->search),
        options_(options),
        parts_(std::move(parts)),
        model_(*parts_.ready.model) {
    if (settings_.learning_rate) parts_.trainer.rates.learning_rate = *settings_.learning_rate;
    split_data();
    if (parts_.resumed) position_ = read_position(*parts_.resumed);
    if (position_.steps == 0) position_.steps = count_steps();
    search_.emplace(task(), redundancy_settings(settings_));
    trainer_.emplace(model_, parts_.ready.plan, parts_.trainer);
    if (parts_.resumed) {
      search_->restore(position_.search, (*parts_.resumed / kState).string());
      point_ = read_training_state(*parts_.resumed, trainer_->optimiser());
    }
    point_.recipe = compare_settings(recipe, point_.recipe, options.on_note);
    open_streams();
    const int64_t warmup = warmup_steps_of(recipe.warmup_steps, recipe.warmup_ratio, position_.steps);
    shape_ = {recipe.lr_scheduler_type, std::min(warmup, position_.steps - 1), position_.steps};
  }

  SearchResult run() {
    io::make_folder(parts_.folder);
    fs::remove(parts_.folder / kScores);  // of another search
    log_.emplace(parts_.folder / "log.jsonl", point_.step);
    begun_ = Clock::now();
    search_->run(
        {.train = [this](const plan::Plan& plan) { return train(plan); },
         .begin_comparison = [this](RedundancySettings::Samples) { take_held_out(); },
         .loss = [this](const plan::Plan& plan) { return compare(plan); }},
        [this](const SearchProgress& progress) { after_step(progress); }, [this] { return is_to_stop(); });
    SearchResult result{.steps = point_.step,
                        .comparisons = search_->comparisons(),
                        .stopped = !search_->done() && options_.stop.stop_requested(),
                        .ranking = search_->ranked(),
                        .folder = parts_.folder};
    if (result.stopped) {
      if (last_saved_ != point_.step) save();
      return result;
    }
    result.skipped = write_outcome(result);
    return result;
  }

 private:
  /// What is learnt, and what draws are compared on.
  void split_data() {
    if (settings_.evaluate_on == EvaluateOn::training_batch) return;
    int64_t records = 0;
    if (!parts_.eval_data.empty()) {
      held_out_sets_ = std::move(parts_.eval_data);
      for (const WeightedSet& set : held_out_sets_) records += set.records->size();
    } else {
      SplitSets split =
          hold_out(std::move(parts_.data), kBatchesKeptOut * settings_.held_out, static_cast<uint64_t>(recipe_.seed));
      parts_.data = std::move(split.learnt);
      held_out_sets_ = std::move(split.held_out);
      for (const WeightedSet& set : held_out_sets_) records += set.records->size();
      note(concat("the search compares draws on ", records, records == 1 ? " sample" : " samples",
                  " that it keeps out of data; eval_data names others"));
    }
    for (WeightedSet& set : held_out_sets_) set.weight = 1;
    compared_on_ = std::min(settings_.held_out, records);
    require(compared_on_ > 0, Fault::bad_file, "eval_data holds no record, so draws can't be compared");
  }

  /// What the recipe says; fewer if they would not fit into the time.
  int64_t count_steps() {
    int64_t steps = settings_.steps.value_or(parts_.steps);
    if (parts_.seconds) {
      constexpr double kMargin = 0.9;
      const double fit = kMargin * *parts_.seconds / seconds_per_step();
      if (fit < static_cast<double>(steps)) steps = static_cast<int64_t>(fit);
      note(concat("the search plans ", steps, " steps for the time that it has"));
    }
    const int64_t first = std::max(warm_up_of(settings_, steps), settings_.every_steps);
    require(first <= steps, Fault::bad_request, "the search has ", steps,
            " steps, but compares draws for the first time ", "after step ", first,
            "; give it more steps or more time, or lower every_steps and warmup_steps of eas.search");
    return steps;
  }

  /// Of a step and its part of a comparison: tried at a rate of 0, by a trainer of its own.
  double seconds_per_step() {
    const std::vector<Sample> samples = first_samples();
    const MicroBatch batch(samples);
    Trainer trainer(model_, parts_.ready.plan, parts_.trainer);
    trainer.step({&batch, 1}, 0);  // the first one is slow
    auto begin = Clock::now();
    trainer.step({&batch, 1}, 0);
    const double step = since(begin) * static_cast<double>(recipe_.gradient_accumulation_steps);
    begin = Clock::now();
    (void)trainer.loss(batch);
    const double batches = static_cast<double>(compared_on_) / static_cast<double>(samples.size());
    return step +
           since(begin) * batches * static_cast<double>(settings_.draws) / static_cast<double>(settings_.every_steps);
  }

  /// A batch to try.
  std::vector<Sample> first_samples() const {
    std::vector<Sample> samples;
    for (const WeightedSet& set : parts_.data) {
      for (int64_t i = 0; i < set.records->size(); ++i) {
        if (static_cast<int64_t>(samples.size()) == recipe_.per_device_train_batch_size) return samples;
        samples.push_back(counted_sample(model_, set.records->read(i), parts_.stream.sample));
      }
    }
    return samples;
  }

  SearchTask task() const {
    SearchTask task{.base = parts_.ready.plan,
                    .candidates = self_attentions(parts_.ready.plan, "decoder", model_.facts.layers),
                    .skipped = *recipe_.eas->skip_count,
                    .warm_up = warm_up_of(settings_, position_.steps),
                    .steps = position_.steps,
                    .seed = static_cast<uint64_t>(recipe_.seed)};
    std::erase_if(task.candidates,
                  [&](const Candidate& one) { return model_.facts.is_fixed("decoder", one.site.layer, "self"); });
    return task;
  }

  void open_streams() {
    StreamOptions options = parts_.stream;
    stream_.emplace(model_, std::move(parts_.data), options, point_.taken, point_.skipped);
    stream_->on_skipped([this](const std::string& sentence) { note(sentence); });
    if (held_out_sets_.empty()) return;
    options.shuffle = true;
    options.length_group = 0;
    options.seed ^= kHeldOutSeed;
    options.ahead = compared_on_;
    const bool first = settings_.evaluate_on == EvaluateOn::first_batch;
    held_out_stream_.emplace(model_, std::move(held_out_sets_), options, first ? 0 : position_.held_out_taken,
                             first ? 0 : position_.held_out_skipped);
    held_out_stream_->on_skipped([this](const std::string& sentence) { note(sentence); });
  }

  double train(const plan::Plan& plan) {
    const auto begin = Clock::now();
    batches_.assign(static_cast<size_t>(recipe_.gradient_accumulation_steps), {});
    for (std::vector<Sample>& batch : batches_)
      for (int64_t i = 0; i < recipe_.per_device_train_batch_size; ++i) batch.push_back(stream_->next());
    const std::vector<MicroBatch> views(batches_.begin(), batches_.end());
    trainer_->set_plan(plan);
    const double factor = rate_factor(shape_, point_.step);
    const StepResult step = trainer_->step(views, factor);
    ++point_.step;
    point_.taken = stream_->taken();
    point_.skipped = stream_->skipped();
    record_ = {.step = point_.step,
               .loss = step.loss,
               .grad_norm = step.grad_norm,
               .lr = trainer_->optimiser().groups().front().learning_rate * factor,
               .tokens = step.rows,
               .seconds = since(begin),
               .more = {{"labels", step.labels}, {"skips", skipped_layers(plan)}}};
    return step.loss;
  }

  void take_held_out() {
    if (settings_.evaluate_on == EvaluateOn::training_batch) {
      held_out_.clear();
      for (const std::vector<Sample>& batch : batches_) held_out_.insert(held_out_.end(), batch.begin(), batch.end());
      return;
    }
    if (settings_.evaluate_on == EvaluateOn::first_batch && !held_out_.empty()) return;
    held_out_.clear();
    while (static_cast<int64_t>(held_out_.size()) < compared_on_) held_out_.push_back(held_out_stream_->next());
    position_.held_out_taken = held_out_stream_->taken();
    position_.held_out_skipped = held_out_stream_->skipped();
  }

  double compare(const plan::Plan& plan) {
    trainer_->set_plan(plan);
    return loss_of(*trainer_, held_out_, recipe_.per_device_train_batch_size);
  }

  void after_step(const SearchProgress& progress) {
    log_->write(record_);
    if (options_.on_search)
      options_.on_search({.step = progress.step,
                          .steps = progress.steps,
                          .loss = progress.loss,
                          .comparisons = progress.comparisons,
                          .compared = progress.comparisons != seen_comparisons_,
                          .seconds = seconds(),
                          .ranking = search_->ranked()});
    seen_comparisons_ = progress.comparisons;
    if (recipe_.save_steps > 0 && point_.step % recipe_.save_steps == 0) save();
  }

  double seconds() const { return position_.seconds + since(begun_); }
  bool is_to_stop() const { return options_.stop.stop_requested() || (parts_.seconds && seconds() >= *parts_.seconds); }

  /// Replaces the checkpoint before it: no other is needed to go on.
  void save() {
    last_saved_ = point_.step;
    const fs::path place = parts_.folder / concat("checkpoint-", point_.step);
    io::NewFolder folder(model_.folder, place);
    io::write_json_atomic(folder.part() / kState, {{"steps", position_.steps},
                                                   {"held_out_taken", position_.held_out_taken},
                                                   {"held_out_skipped", position_.held_out_skipped},
                                                   {"seconds", seconds()},
                                                   {"search", search_->state()}});
    write_training_state(folder.part(), point_, trainer_->optimiser());
    folder.commit();
    for (const CheckpointFolder& checkpoint : checkpoints_in(parts_.folder))
      if (checkpoint.step != point_.step) remove(checkpoint);
    if (options_.on_checkpoint) options_.on_checkpoint(place);
  }

  /// The layers whose attention a plan leaves out and an adapter can replace.
  std::vector<int64_t> skipped_layers(const plan::Plan& plan) const {
    std::vector<int64_t> layers;
    for (const plan::LayerPlan& layer : plan.layers) {
      const bool fixed = model_.facts.is_fixed("decoder", layer.layer, "self");
      if (layer.stream == "decoder" && !layer.self_attention && !fixed) layers.push_back(layer.layer);
    }
    return layers;
  }

  std::vector<int64_t> write_outcome(const SearchResult& result) {
    const plan::Plan plan = search_->plan();
    std::vector<int64_t> skipped = skipped_layers(plan);
    Json report = search_->report();
    report["skipped_layers"] = skipped;
    io::write_json_atomic(parts_.folder / "plan.json", plan::to_json(plan));
    io::write_text_atomic(parts_.folder / "redundancy.svg",
                          svg_file(svg_of(redundancy_chart(result.scores(), skipped))));
    io::write_json_atomic(parts_.folder / kScores, report);
    for (const CheckpointFolder& checkpoint : checkpoints_in(parts_.folder)) remove(checkpoint);
    return skipped;
  }

  void note(const std::string& sentence) const {
    if (options_.on_note) options_.on_note(sentence);
  }

  const Recipe& recipe_;
  const EasSearchRecipe& settings_;
  const RunOptions& options_;
  SearchParts parts_;
  models::Model& model_;
  std::vector<WeightedSet> held_out_sets_;
  int64_t compared_on_ = 0;  // samples of a comparison
  Position position_;
  RunPoint point_;
  std::optional<Search> search_;
  std::optional<Trainer> trainer_;
  std::optional<SampleStream> stream_, held_out_stream_;
  RateShape shape_;
  std::vector<std::vector<Sample>> batches_;  // of the step at hand
  std::vector<Sample> held_out_;              // of the comparison at hand
  StepRecord record_;
  std::optional<StepLog> log_;
  Clock::time_point begun_;
  int64_t seen_comparisons_ = 0, last_saved_ = -1;
};

RankedAttention ranked_of(const JsonView& view) {
  return {view.integer("layer"), view.number("score"), view.number("probability"), view.integer("drawn"),
          view.boolean("skipped", false)};
}

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

std::vector<double> SearchResult::scores() const {
  std::vector<double> scores;
  for (const RankedAttention& one : ranking) {
    const auto at = static_cast<size_t>(one.layer);
    if (scores.size() <= at) scores.resize(at + 1, std::numeric_limits<double>::quiet_NaN());
    scores[at] = one.score;
  }
  return scores;
}

SearchResult search_attentions(const Recipe& recipe, const RunOptions& options, SearchParts parts) {
  return SearchPhase(recipe, options, std::move(parts)).run();
}

std::optional<SearchResult> finished_search(const Recipe& recipe, const fs::path& folder) {
  const fs::path file = folder / kScores;
  if (!fs::exists(file)) return std::nullopt;
  const Json json = read_json_file(file);
  const JsonView view(json, file.string());
  SearchResult result{.steps = view.integer("steps"), .comparisons = view.integer("comparisons"), .folder = folder};
  for (const char* key : {"ranking", "skipped_layers"})
    require(view.has(key) && json.at(key).is_array(), Fault::bad_file, file.string(), ": '", key, "' is not a list");
  int64_t found = 0;
  for (const Json& one : json.at("ranking")) {
    result.ranking.push_back(ranked_of(JsonView(one, file.string())));
    const int64_t layer = result.ranking.back().layer;
    require(layer >= 0 && layer < plan::kMaxLayers, Fault::bad_file, file.string(), ": there is no layer ", layer);
    found += result.ranking.back().skipped ? 1 : 0;
  }
  for (const Json& layer : json.at("skipped_layers")) {
    require(layer.is_number_integer(), Fault::bad_file, file.string(), ": 'skipped_layers' are not numbers of layers");
    result.skipped.push_back(layer.get<int64_t>());
  }
  require(found == *recipe.eas->skip_count && !result.skipped.empty(), Fault::bad_file, file.string(),
          ": this search skipped ", found, " attentions, and the recipe skips ", *recipe.eas->skip_count,
          "; name another output_dir, or remove this folder");
  return result;
}

bool is_search_checkpoint(const fs::path& folder) {
  return fs::exists(folder / kState);
}

}  // namespace lithe::tune
