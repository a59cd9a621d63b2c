#include "tune/run.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/vector_set.h"
#include "session/threads.h"
#include "tune/estimate.h"
#include "tune/evaluation.h"
#include "tune/meter_ready.h"
#include "tune/meter_run.h"
#include "tune/methods.h"
#include "tune/nccl.h"
#include "tune/output.h"
#include "tune/ranks.h"
#include "tune/recipe_options.h"
#include "tune/sample_maker.h"
#include "tune/search_run.h"
#include "tune/trainer.h"
#include "tune/tuning_phase.h"

namespace lithe::tune {
namespace {

/// What is worth knowing before the run begins, told once.
void note_settings(const Recipe& recipe, const ReadyModel& ready, const RunOptions& options, const Ranks& ranks) {
  const auto note = [&](const std::string& sentence) {
    if (options.on_note && ranks.first()) options.on_note(sentence);
  };
  if (recipe.bf16 && options.device == "cpu" && vector_set() < VectorSet::avx512_bf16)
    note("bf16: this processor has no instructions for bfloat16, so the run is slower than in float32");
  for (const std::string& sentence : ready.notes) note(sentence);
  if (recipe.pia_mean == PiaMean::published && !recipe.eval_data.empty())
    note("pia_mean: published holds for training alone; evaluation takes means over the prompt, as answers do");
}

RunResult tune_decoder(const Recipe& recipe, const RunOptions& options, const Ranks& ranks,
                       std::optional<SearchResult> searched) {
  const ReadyModel ready = ready_model(recipe, searched ? searched->skipped : std::vector<int64_t>(), options.device);
  models::Model& model = *ready.model;
  const SampleOptions sample = sample_options(recipe, model);
  Trainer trainer(model, ready.plan, trainer_options(recipe, sample, ranks));
  note_settings(recipe, ready, options, ranks);
  if (recipe.share_images) require_shareable(model, ready.plan);
  TuningSetup setup{
      .ranks = ranks, .data = open_sets(recipe.data, model), .eval_data = {}, .searched = std::move(searched)};
  for (const DataSet& set : recipe.eval_data) setup.eval_data.push_back(open_set(set, model));
  const EvaluationOptions evaluation{.sample = sample,
                                     .batch = recipe.per_device_train_batch_size,
                                     .answers = recipe.metric_for_best_model == "exact_match"};
  TunedModel<Sample, Trainer> tuned{
      .folder = model.folder,
      .trainer = trainer,
      .maker = sample_maker(model, sample),
      .held_out_maker = sample_maker(model, sample),
      .estimate = [&] { return estimate_of(model, trainer.optimiser()); },
      .evaluate = [&](const HeldOutSets& sets) { return evaluate(model, ready.plan, sets, evaluation); },
      .write = [&](const std::filesystem::path& folder) { write_tuned_model(model, ready.plan, recipe, folder); }};
  if (options.dry_run && searches(recipe))
    check_search(recipe, ready, steps_of(recipe, ranks, records_per_epoch(setup.data)));
  return tune_model(recipe, options, std::move(tuned), std::move(setup));
}

}  // namespace

RunResult run(const Recipe& recipe, const RunOptions& options) {
  const bool meter = trains_meter(recipe);
  require(meter || recipe.head.empty(), Fault::bad_request, "`head` is for METER models; leave it out");
  require(meter || (!recipe.head_lr && !recipe.cross_modal_lr), Fault::bad_request,
          "`head_lr` and `cross_modal_lr` are for METER models; leave them out");
  const auto tune = meter ? tune_meter : tune_decoder;
  const Launch launch = read_launch();
  if (options.dry_run) return launch.rank == 0 ? tune(recipe, options, {}, {}) : RunResult{};
  const Ranks ranks = Ranks::meet(launch, recipe.output_dir, options.on_note);
  try {
    RunOptions own = options;
    if (!ranks.alone() && options.device != "cpu") {
      own.device = session::device_of_process(options.device, read_local_rank(process_environment));
      ranks.use_gpu(own.device, kNccl);
    }
    std::optional<SearchResult> found = searched(recipe, own, ranks);
    if (found && found->stopped) return {.stopped = true, .searching = true};
    return tune(recipe, own, ranks, std::move(found));
  } catch (const std::exception& error) {
    ranks.failed(error.what());
    throw;
  }
}

}  // namespace lithe::tune
