#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <optional>

#include "base/error.h"
#include "base/printable.h"
#include "cli/answer_report.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/search_table.h"
#include "cli/standard_output.h"
#include "cli/tune_progress.h"
#include "tune/launch.h"
#include "tune/run.h"

namespace lithe::cli {
namespace {

constexpr const char* kTuneDescription =
    R"(Tunes a model by a recipe: a YAML file that names the model, the data, what learns and how. p-MoD, EAS and LoRA can be
combined. `lithe help recipe` lists the keys of a recipe; docs/recipes.md has examples.

The tuned model and the plan that it was tuned for are written to the recipe's output_dir, with a log of every step
(log.jsonl), checkpoints, TensorBoard files and a report (report.html). A terminal shows how far the run is; a file or a pipe
as stdout gets a line every logging_steps steps. Ctrl-C ends the run after the current step, with a checkpoint. With
`resume_from_checkpoint: true` in the recipe, the next run goes on from there.

Several processes that torchrun, mpirun or srun starts tune one model together (docs/many-machines.md).)";

constexpr const char* kTuneFooter = R"(Examples:
  lithe tune recipe.yaml --dry-run
  lithe tune recipe.yaml

Exit codes: 0 done, 130 interrupted, 2 impossible request, 3 bad file, 1 anything else.)";

struct TuneFlags {
  CommonOptions common;
  std::string recipe;
  bool dry_run = false;
};

Json to_json(const tune::Evaluation& evaluation) {
  Json json{{"step", evaluation.step}, {"loss", evaluation.loss}};
  if (evaluation.exact_match) json["exact_match_share"] = *evaluation.exact_match;
  return json;
}

Json to_json(const tune::RunEstimate& estimate) {
  Json parts = Json::array();
  for (const auto& part : estimate.parts)
    parts.push_back({{"name", part.name}, {"parameters", part.parameters}, {"learn", part.learn}});
  Json json{{"parts", parts},
            {"samples", estimate.samples},
            {"bad_samples", estimate.bad_samples},
            {"bad_held_out", estimate.bad_held_out},
            {"longest_sample_tokens", estimate.longest_sample},
            {"mean_sample_tokens", estimate.mean_sample},
            {"steps", estimate.steps},
            {"search_steps", estimate.search_steps},
            {"weight_bytes", estimate.weight_bytes},
            {"optimiser_bytes", estimate.optimiser_bytes},
            {"activation_bytes", estimate.activation_bytes}};
  if (estimate.seconds_per_step > 0) json["step_ms"] = 1e3 * estimate.seconds_per_step;
  if (estimate.peak_bytes > 0) json["peak_bytes"] = estimate.peak_bytes;
  return json;
}

/// Parameters by part, then what the run needs.
std::string to_text(const tune::RunEstimate& estimate) {
  std::string text;
  int64_t all = 0, learn = 0;
  for (const auto& part : estimate.parts) {
    text += fmt::format("{:<12} {:>9} parameters, {:>9} learn\n", printable(part.name), count_text(part.parameters),
                        count_text(part.learn));
    all += part.parameters;
    learn += part.learn;
  }
  text += fmt::format("{:<12} {:>9} parameters, {:>9} learn\n", "all", count_text(all), count_text(learn));
  text += fmt::format("samples      {} ({} can't be used); {} tokens on average, {} at most\n", estimate.samples,
                      estimate.bad_samples, estimate.mean_sample, estimate.longest_sample);
  text += fmt::format(
      "memory       {} for weights, {} for gradients and optimiser, {} for activations of the longest samples\n",
      bytes_text(estimate.weight_bytes), bytes_text(estimate.optimiser_bytes), bytes_text(estimate.activation_bytes));
  if (estimate.bad_held_out > 0) text += fmt::format("eval_data    {} can't be used\n", estimate.bad_held_out);
  if (estimate.peak_bytes > 0)
    text += fmt::format("peak         {} held by the whole program in the step that was tried\n",
                        bytes_text(estimate.peak_bytes));
  if (estimate.search_steps > 0) text += fmt::format("search       {} steps before\n", estimate.search_steps);
  text += fmt::format("steps        {}", estimate.steps);
  if (estimate.seconds_per_step > 0)
    text += fmt::format(
        " of {:.2f} s each: {}", estimate.seconds_per_step,
        duration_text(estimate.seconds_per_step * static_cast<double>(estimate.steps + estimate.search_steps)));
  return text + "\n";
}

std::string to_text(const tune::Evaluation& evaluation) {
  std::string text = fmt::format("step {}: held-out loss {:.4f}", evaluation.step, evaluation.loss);
  if (evaluation.exact_match) text += fmt::format(", {:.1f} % of the answers exact", 100 * *evaluation.exact_match);
  return text + "\n";
}

/// A run as it is watched.
class TuneCommand {
 public:
  explicit TuneCommand(const TuneFlags& flags) : flags_(flags), progress_("tuning") {}

  int run() {
    const tune::Recipe recipe = tune::read_recipe(flags_.recipe);
    logging_steps_ = recipe.logging_steps;
    const tune::RunResult result = tune::run(recipe, options());
    progress_.wipe();
    if (rank_ > 0) return result.stopped ? kExitInterrupted : 0;
    if (!flags_.dry_run) {
      print_result(result);
    } else {
      print_estimate();
      require(estimate_->refusal.empty(), Fault::bad_file, estimate_->refusal);
    }
    return result.stopped ? kExitInterrupted : 0;
  }

 private:
  tune::RunOptions options() {
    tune::RunOptions options{.stop = interrupt_.token(), .device = flags_.common.device, .dry_run = flags_.dry_run};
    options.on_note = [this](const std::string& sentence) {
      const std::string who = rank_ > 0 ? fmt::format("rank {}: ", rank_) : "";
      say(write_err, fmt::format("note: {}{}\n", who, printable(sentence, kMostSentenceBytes)));
    };
    options.on_begin = [this](const tune::RunEstimate& estimate) { estimate_ = estimate; };
    options.on_search = [this](const tune::SearchReport& report) {
      interrupt_.poll();
      if (rank_ > 0) return;
      progress_.update("searching " + progress_text(report));
      if (report.compared || report.step == report.steps) tell("searching " + line_of(report));
    };
    options.on_step = [this](const tune::StepReport& step) {
      interrupt_.poll();
      if (rank_ > 0) return;
      const std::string line = pace_.line(step);
      progress_.update(line);
      if (step.step % logging_steps_ == 0 || step.step == step.steps) tell(concat("step ", line, "\n"));
    };
    options.on_evaluation = [this](const tune::Evaluation& evaluation) {
      if (!flags_.common.json) say(write_out, to_text(evaluation));
    };
    options.on_checkpoint = [this](const std::filesystem::path& checkpoint) {
      progress_.show("wrote " + checkpoint.string());
    };
    return options;
  }

  /// For a log: what a terminal shows in its progress line.
  void tell(const std::string& line) const {
    const bool seen = progress_.is_seen() && isatty(STDOUT_FILENO) == 1;
    if (!seen && !flags_.common.json) write_out(line);
  }

  /// A line of its own above the progress line.
  template <class Write>
  void say(const Write& write, const std::string& line) {
    progress_.wipe();
    write(line);
  }

  void print_estimate() const {
    require(estimate_.has_value(), Fault::internal, "A dry run ended without its numbers.");
    if (!flags_.common.json) return write_out(to_text(*estimate_));
    Json json{{"schema", "lithe-tune/1"}, {"dry_run", true}};
    json.update(to_json(*estimate_));
    write_json(json);
  }

  void print_result(const tune::RunResult& result) const {
    if (flags_.common.json) {
      Json json{{"schema", "lithe-tune/1"},
                {"steps", result.steps},
                {"stopped", result.stopped},
                {"last_loss", result.last_loss}};
      if (result.searching) json["searching"] = true;
      if (!result.output.empty()) json["output"] = result.output.string();
      if (result.last_evaluation) json["evaluation"] = to_json(*result.last_evaluation);
      return write_json(json);
    }
    if (result.searching)
      write_out("stopped in the search; with `resume_from_checkpoint: true` the next run goes on\n");
    else if (result.stopped)
      write_out(fmt::format("stopped after step {}; with `resume_from_checkpoint: true` the next run goes on\n",
                            result.steps));
    else
      write_out(fmt::format("wrote {} after {} steps; the last loss was {:.4f}\n", printable(result.output.string()),
                            result.steps, result.last_loss));
  }

  const TuneFlags& flags_;
  const int64_t rank_ = tune::read_launch().rank;  // of several processes, the first one is watched
  InterruptGuard interrupt_;
  Progress progress_;
  TuneProgress pace_;
  int64_t logging_steps_ = 1;
  std::optional<tune::RunEstimate> estimate_;
};

/// Flags that the recipe decides, or that tuning does not have; not in the help, taken only to say why they are
/// refused.
constexpr std::pair<const char*, const char*> kNotHere[] = {
    {"--seed", "tune takes its seed from the recipe; write `seed: N` there."},
    {"--weights", "tune keeps the types of the weights; leave out --weights."},
    {"--lora", "tune makes a LoRA if the recipe has a block `lora`; leave out --lora."},
    {"--mmproj", "tune does not take GGUF models; leave out --mmproj."},
};

}  // namespace

Action declare_tune(CLI::App& app) {
  const auto flags = std::make_shared<TuneFlags>();
  app.description(kTuneDescription);
  app.footer(kTuneFooter);
  app.add_option("RECIPE", flags->recipe, "The recipe, a YAML file")->required();
  app.add_flag("--dry-run", flags->dry_run,
               "Check every file and sample, try one step, and print parameters, memory and time; write nothing");
  add_json(app, flags->common, "Print JSON: the result or, with --dry-run, what the run needs");
  add_common(app, flags->common);
  for (const auto& [flag, reason] : kNotHere) app.get_option(flag)->group("");
  return [flags, &app] {
    for (const auto& [flag, reason] : kNotHere) require(app.get_option(flag)->count() == 0, Fault::bad_request, reason);
    require(!flags->recipe.empty(), Fault::bad_request, "The name of the recipe is empty; give the name of a file.");
    apply(flags->common);
    return TuneCommand(*flags).run();
  };
}

}  // namespace lithe::cli
