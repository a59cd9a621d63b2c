#include "tune/search_run.h"

#include <filesystem>

#include "base/error.h"
#include "plan/parse.h"
#include "tune/launch.h"
#include "tune/meter_ready.h"
#include "tune/meter_run.h"
#include "tune/methods.h"
#include "tune/recipe_options.h"
#include "tune/resumption.h"
#include "tune/search_files.h"
#include "tune/search_phase.h"
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

SearchResult search_into(const fs::path& folder, const Recipe& recipe, const SearchOptions& search,
                         const RunOptions& options, const Ranks& ranks) {
  SearchParts parts;
  parts.ready = ready_model(recipe);
  parts.seconds = search.seconds;
  parts.folder = folder;
  const models::Model& model = *parts.ready.model;
  if (!search.plan.empty()) parts.ready.plan = plan::load_plan(search.plan, model.facts);
  const SampleOptions sample = sample_options(recipe, model);
  parts.trainer = trainer_options(recipe, sample, ranks);
  parts.stream = stream_options(recipe, sample, ranks);
  parts.data = open_sets(recipe.data, model);
  parts.eval_data = open_sets(recipe.eval_data, model);
  parts.steps = steps_of(recipe, ranks, static_cast<int64_t>(order_of_epoch(parts.data, false, 0, 0).size()));
  parts.resumed = search_checkpoint(recipe, folder);
  return search_attentions(recipe, options, std::move(parts));
}

}  // namespace

bool searches(const Recipe& recipe) {
  return recipe.eas && recipe.eas->skip_count;
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
  if (trains_meter(recipe)) return search_meter(recipe, search, options);
  const Ranks ranks = Ranks::meet(read_launch(), recipe.output_dir);
  try {
    return search_into(recipe.output_dir, recipe, search, options, ranks);
  } catch (const std::exception& error) {
    ranks.failed(error.what());
    throw;
  }
}

}  // namespace lithe::tune
