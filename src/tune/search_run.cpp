#include "tune/search_run.h"

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "plan/parse.h"
#include "tune/launch.h"
#include "tune/meter_ready.h"
#include "tune/meter_search.h"
#include "tune/methods.h"
#include "tune/recipe_options.h"
#include "tune/resumption.h"
#include "tune/sample_maker.h"
#include "tune/search_files.h"
#include "tune/search_phase.h"
#include "tune/trainer.h"
#include "tune/training_state.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;

/// The checkpoint that the search in `folder` goes on from; absent: it begins.
std::optional<fs::path> search_checkpoint(const Recipe& recipe, const fs::path& folder) {
  const std::vector<CheckpointFolder> found = checkpoints_in(folder);
  const std::optional<std::string>& resumed = recipe.resume_from_checkpoint;
  if (resumed && is_search_checkpoint(*resumed)) return fs::path(*resumed);
  require(found.empty() || resumed, Fault::bad_request, folder.string(), ": holds a checkpoint of a search; write ",
          "`resume_from_checkpoint: true` to go on with it, or name another output_dir");
  return found.empty() ? std::nullopt : std::optional(found.back().path);
}

/// The attentions of the decoder that a plan leaves on and that are there.
std::vector<Candidate> attentions_of(const plan::Plan& plan, const plan::ModelFacts& facts) {
  std::vector<Candidate> candidates = self_attentions(plan, "decoder", facts.layers);
  std::erase_if(candidates, [&](const Candidate& one) { return facts.is_fixed("decoder", one.site.layer, "self"); });
  return candidates;
}

/// The layers whose attention a plan leaves out and an adapter can replace.
std::vector<int64_t> skipped_layers(const plan::Plan& plan, const plan::ModelFacts& facts) {
  std::vector<int64_t> layers;
  for (const plan::LayerPlan& layer : plan.layers) {
    const bool fixed = facts.is_fixed("decoder", layer.layer, "self");
    if (layer.stream == "decoder" && !layer.self_attention && !fixed) layers.push_back(layer.layer);
  }
  return layers;
}

/// `setup`: still without data and steps.  `plan`: what draws are taken from; empty: the recipe's plan.
SearchResult search_decoder(const Recipe& recipe, const std::string& plan, const RunOptions& options,
                            SearchSetup setup) {
  ReadyModel ready = ready_model(recipe, {}, options.device);
  models::Model& model = *ready.model;
  if (!plan.empty()) ready.plan = plan::load_plan(plan, model.facts);
  setup.data = open_sets(recipe.data, model);
  setup.eval_data = open_sets(recipe.eval_data, model);
  setup.steps = steps_of(recipe, setup.ranks, records_per_epoch(setup.data));
  const SampleOptions sample = sample_options(recipe, model);
  TrainerOptions trainer = trainer_options(recipe, sample, setup.ranks);
  trainer.rates.learning_rate = recipe.eas->search.learning_rate.value_or(recipe.learning_rate);
  SearchedModel<Sample, Trainer> searched{
      .folder = model.folder,
      .plan = ready.plan,
      .candidates = attentions_of(ready.plan, model.facts),
      .skipped = [&model](const plan::Plan& other) { return skipped_layers(other, model.facts); },
      .maker = sample_maker(model, sample),
      .trainer = [&model, &ready, trainer] { return std::make_unique<Trainer>(model, ready.plan, trainer); }};
  return search_attentions(recipe, options, std::move(searched), std::move(setup));
}

SearchResult search_into(const fs::path& folder, const Recipe& recipe, const SearchOptions& search,
                         const RunOptions& options, const Ranks& ranks) {
  SearchSetup setup{.ranks = ranks,
                    .seconds = search.seconds,
                    .save_seconds = search.save_seconds,
                    .folder = folder,
                    .resumed = search_checkpoint(recipe, folder)};
  if (!trains_meter(recipe)) return search_decoder(recipe, search.plan, options, std::move(setup));
  require(search.plan.empty(), Fault::bad_request, "the search over METER takes no plan; leave it out");
  return search_meter(recipe, options, std::move(setup));
}

}  // namespace

bool searches(const Recipe& recipe) {
  return recipe.eas && recipe.eas->skip_count;
}

void check_search(const Recipe& recipe, const ReadyModel& ready, int64_t steps) {
  check_search(recipe, attentions_of(ready.plan, ready.model->facts), steps);
}

std::optional<SearchResult> searched(const Recipe& recipe, const RunOptions& options, const Ranks& ranks) {
  if (!searches(recipe) || options.dry_run) return std::nullopt;
  const std::optional<fs::path> resumed = checkpoint_to_resume(recipe);
  const fs::path folder = fs::path(recipe.output_dir) / "search";
  if (recipe.resume_from_checkpoint) {
    std::optional<SearchResult> found = finished_search(recipe, folder);
    if (!found && resumed) found = finished_search(recipe, resumed->parent_path() / "search");
    require(found || !resumed, Fault::bad_file, folder.string(), ": holds no finished search, but ",
            "there is a checkpoint of the tuning after it; name another output_dir to begin anew");
    if (found) return found;
  }
  return search_into(folder, recipe, {}, options, ranks);
}

SearchResult search(const Recipe& recipe, const SearchOptions& search, const RunOptions& options) {
  require(searches(recipe), Fault::bad_request,
          "the recipe has no eas.skip that is a number, so there is nothing to find");
  require(!finished_search(recipe, recipe.output_dir), Fault::bad_request, recipe.output_dir,
          ": holds what a search found; name another folder");
  require(!is_there(std::filesystem::path(recipe.output_dir) / "measured.jsonl"), Fault::bad_request, "The folder ",
          in_quotes(recipe.output_dir), " holds a search under a budget; give another --output.");
  const Ranks ranks = Ranks::meet(read_launch(), recipe.output_dir, options.on_note);
  try {
    return search_into(recipe.output_dir, recipe, search, options, ranks);
  } catch (const std::exception& error) {
    ranks.failed(error.what());
    throw;
  }
}

}  // namespace lithe::tune
