#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "tune/recipe.h"
#include "tune/search_report.h"

// A whole tuning run. The header sees no tensors, so that front ends can include it.
namespace lithe::tune {

/// What one optimiser step did, as front ends show it.
struct StepReport {
  int64_t step = 0, steps = 0;  ///< From 1, and in all.
  double loss = 0;              ///< Before the step, mean over the labels that count.
  double grad_norm = 0;         ///< Before clipping.
  double lr = 0;                ///< Of the first group.
  int64_t rows = 0;             ///< Tokens, with those of pictures, that entered the decoder.
  double seconds = 0;
  double kept_share = 1;  ///< Of the vision tokens of all layers, those that ran the feed-forward network.
};

/// An answer of the model in training beside the one that the data have.
struct SampleAnswer {
  std::string name, question, expected, answer;
  bool right = false;  ///< Equal but for white space at the ends, or right by its task's rules.
};

/// What an evaluation on held-out data gave.
struct Evaluation {
  int64_t step = 0;
  double loss = 0;                    ///< Mean over the labels that count.
  std::optional<double> exact_match;  ///< Share of the answers that equal the expected text; of a task its mean score.
  std::vector<SampleAnswer> answers;  ///< Some of them.
};

/// What a run needs, counted before it begins.
struct RunEstimate {
  struct Part {
    std::string name;  ///< "decoder", "adapters", ..
    int64_t parameters = 0, learn = 0;
  };
  std::vector<Part> parts;
  int64_t samples = 0, bad_samples = 0;         ///< Of one epoch; only a dry run looks at all of them.
  int64_t bad_held_out = 0;                     ///< Records of eval_data that can't be used.
  std::string refusal;                          ///< Why the run would end for its bad samples; empty: it would not.
  int64_t longest_sample = 0, mean_sample = 0;  ///< Rows.
  int64_t steps = 0;
  int64_t search_steps = 0;      ///< Of the search for redundant attentions before them.
  int64_t weight_bytes = 0;      ///< Of the model, as held.
  int64_t optimiser_bytes = 0;   ///< Gradients and AdamW's state.
  int64_t activation_bytes = 0;  ///< What the tried step held at most besides; 0: none was.
  int64_t peak_bytes = 0;        ///< Of memory that the whole process held during that step; 0: not known.
  double seconds_per_step = 0;   ///< Of a step that was tried; 0: none was.
};

struct RunOptions {
  std::function<void(const std::string& sentence)> on_note;  ///< What was assumed, and what was left out.
  std::function<void(const RunEstimate&)> on_begin;
  std::function<void(const SearchReport&)> on_search;  ///< After each step of a search for redundant attentions.
  std::function<void(const StepReport&)> on_step;
  std::function<void(const Evaluation&)> on_evaluation;
  std::function<void(const std::filesystem::path& checkpoint)> on_checkpoint;
  std::stop_token stop;        ///< Ends the run after the step at hand, with a checkpoint.
  std::string device = "cpu";  ///< Or "cuda:N", which session::prepare_device made ready. One process then.
  bool dry_run = false;        ///< Reads every sample and tries one step, and writes nothing.
};

struct RunResult {
  int64_t steps = 0;  ///< Done, with those before a resumption.
  bool stopped = false;
  bool searching = false;  ///< Stopped in the search, before the first of these steps.
  double last_loss = 0;
  std::optional<Evaluation> last_evaluation;
  std::filesystem::path output;  ///< The tuned model, or the LoRA folder; empty after a dry run or a stop.
};

/// Runs a recipe: searches for redundant attentions if it says how many, opens the model, adds what its methods need,
/// trains, evaluates, keeps checkpoints, and writes what was tuned to `output_dir`. Throws Error for anything that the
/// recipe, its files or a sample get wrong, and if the loss is not finite.
RunResult run(const Recipe& recipe, const RunOptions& options = {});

/// The search of a recipe alone, whose eas.skip is a number: what it finds is written to `output_dir` itself. It goes
/// on from a checkpoint there if the recipe resumes. Throws Error, also if a search in that folder is done already.
SearchResult search(const Recipe& recipe, const SearchOptions& search, const RunOptions& options = {});

}  // namespace lithe::tune
