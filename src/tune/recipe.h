#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tune/schedule.h"

/// What a tuning run is told: the keys of a recipe, read from YAML. docs/recipes.md lists them.
namespace lithe::tune {

/// One data set of `data` or `eval_data`.
struct DataSet {
  std::string path;     ///< A file or a folder.
  std::string images;   ///< The folder or zip that the names of pictures are relative to; empty: beside `path`.
  double weight = 1;    ///< How often a sample is drawn per epoch.
  std::string dataset;  ///< Its name in a dataset_info.json; empty: the only one, or `path` is the records themselves.
  std::string formatting;                      ///< LLaMA-Factory's sharegpt or alpaca; empty: told by each record.
  std::map<std::string, std::string> columns;  ///< LLaMA-Factory's `columns`: what a field is, to its name in the file.
  std::map<std::string, std::string> tags;     ///< LLaMA-Factory's `tags`: role_tag, content_tag, user_tag, ..
  std::string task, split;  ///< A benchmark whose folder `path` is, and the part of it; empty: any records, the task's.
  std::string prompt;       ///< Of the task scienceqa; empty: its own.
};

/// A low-rank term on products of the decoder. The names are PEFT's.
struct LoraRecipe {
  std::string adapter_name_or_path;  ///< A PEFT folder whose terms learn on, with its rank, alpha and targets; empty:
                                     ///< new terms.
  int64_t r = 8;
  std::optional<double> lora_alpha;  ///< Absent: twice the rank, as LLaMA-Factory.
  double lora_dropout = 0;
  std::vector<std::string> target_modules{"all-linear"};  ///< Last parts of names, or "all-linear" alone.
  bool use_rslora = false;
  std::string bias = "none";

  double alpha() const { return lora_alpha.value_or(2.0 * static_cast<double>(r)); }
};

/// Mixture of depths over vision tokens, with routers that start at zero.
struct PModRecipe {
  std::string schedule = "shiftedcos";  ///< A shape, or a published name as `shiftedlinear_decay_0.58_0.45`.
  std::optional<double> shift, untouched_above, floor, share;  ///< What a plan's schedule takes; absent: its default.
  std::optional<int64_t> divisor;                              ///< Absent: the number of layers less one.
  std::string norm = "tanh_0.2_1";                             ///< A published weight norm, with its scale and bias.
  std::string group = "vision";
  std::string by = "router";  ///< random and uniform are controls: there is nothing to learn.
  int64_t seed = 0;           ///< Of `by: random`.
  std::optional<double> router_lr;
};

/// How attentions that a task does not need are found.
struct EasSearchRecipe {
  enum class Bandit { softmax, sigmoid };  ///< p = softmax(10 s) as LaVIN, sigmoid(s) as LLaVA and METER.
  enum class EvaluateOn { held_out, training_batch, first_batch };

  Bandit bandit = Bandit::sigmoid;
  int64_t draws = 3;
  int64_t every_steps = 10;
  std::optional<int64_t> steps;         ///< Of the search; absent: as many as the tuning takes.
  std::optional<int64_t> warmup_steps;  ///< Before the first update of scores; absent: half of `steps`.
  std::optional<double> rate;           ///< Of an update; absent: 2 for softmax, 1 for sigmoid.
  std::optional<double> learning_rate;  ///< Absent: the recipe's.
  bool ramp = false;                    ///< k_t = min(2 k t // warmup_steps + 1, k), as LLaVA.
  EvaluateOn evaluate_on = EvaluateOn::held_out;
  int64_t held_out = 32;  ///< Samples of the batch that draws are scored on.
  bool evaluate_with_dropout = false;

  double update_rate() const { return rate.value_or(bandit == Bandit::softmax ? 2.0 : 1.0); }
};

/// Adapters in the place of attentions (PIA), and before those that stay (RepAdapter).
struct EasRecipe {
  std::vector<int64_t> skip_layers;   ///< The layers whose attention is skipped, ascending.
  std::optional<int64_t> skip_count;  ///< How many the search is to find, if no layers are given.
  int64_t rep_dim = 128;
  int64_t pia_dim = 128;
  int64_t groups = 2;
  double scale = 1;
  double temperature = 10;
  double dropout = 0;
  bool tower = false;  ///< RepAdapters also in the vision tower.
  EasSearchRecipe search;
};

/// What PIA's mean and gate are taken over: the rows before the first label, or what the published code does.
enum class PiaMean { prompt, published };

struct Recipe {
  std::filesystem::path file;  ///< Where it was read.

  // The model and its data.
  std::string model_name_or_path, output_dir;
  std::string template_name;  ///< Key `template`; empty: the model's own.
  std::vector<DataSet> data, eval_data;
  bool shuffle = true;
  bool group_by_length = false;
  bool share_images = false;
  std::optional<int64_t> model_max_length;  ///< Absent: what the model can hold.
  int64_t skip_bad_samples = 0;
  std::string head;  ///< Of METER, the head that is trained: vqa, nlvr2, snli, itm, irtr or mlm; empty: not a METER.

  // What learns: patterns for chosen() of tune/name_pattern.h; absent: what the methods say.
  std::optional<std::vector<std::string>> train;
  std::optional<LoraRecipe> lora;
  std::optional<PModRecipe> p_mod;
  std::optional<EasRecipe> eas;
  PiaMean pia_mean = PiaMean::prompt;

  // Steps.
  int64_t per_device_train_batch_size = 8;
  int64_t gradient_accumulation_steps = 1;
  double num_train_epochs = 3;
  std::optional<int64_t> max_steps;  ///< Absent: num_train_epochs decides.
  int64_t seed = 42;

  // The optimiser.
  double learning_rate = 5e-5;
  std::optional<double> mm_projector_lr, mm_vision_tower_lr;
  std::optional<double> head_lr, cross_modal_lr;  ///< Of METER.
  LrSchedule lr_scheduler_type = LrSchedule::linear;
  double warmup_ratio = 0;
  int64_t warmup_steps = 0;
  double weight_decay = 0;
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_epsilon = 1e-8;
  double max_grad_norm = 1;  ///< 0: no clipping.
  bool bf16 = false;
  bool gradient_checkpointing = false;

  // What a run leaves.
  int64_t logging_steps = 10;
  int64_t eval_steps = 0;  ///< 0: at the end.
  int64_t save_steps = 500;
  std::optional<int64_t> save_total_limit;  ///< Absent: every checkpoint stays.
  std::string metric_for_best_model;        ///< Empty: no best checkpoint is kept; else loss or exact_match.
  /// A checkpoint folder, or "" for the newest below output_dir; absent: start anew.
  std::optional<std::string> resume_from_checkpoint;
  bool tensorboard = true, html = true;  ///< `report_to`.
};

/// Reads and checks a recipe. Throws Error{bad_file} with the line: a key that is unknown (with the nearest known one)
/// or doubled, a value of another type or range, keys that contradict each other.
Recipe read_recipe(const std::filesystem::path& path);

/// The same for the text of a recipe. `source` names it in errors.
Recipe parse_recipe(std::string_view text, const std::string& source);

/// The settings as a recipe that reads the same: what a run stores beside its checkpoints, and shows. JSON is YAML.
Json settings_of(const Recipe& recipe);

/// The plan that the recipe's methods ask for, as plan::parse_plan reads it; null if no method is in the recipe. EAS
/// comes in only when its layers are known: `skipped` replaces skip_layers after a search.
Json plan_of(const Recipe& recipe, const std::vector<int64_t>& skipped);

}  // namespace lithe::tune
