#include "tune/recipe_keys.h"

#include <algorithm>

#include "base/error.h"
#include "tune/method_keys.h"

namespace lithe::tune {
namespace {

const NumberRange kShare{.low = 0, .high = 1};
const NumberRange kRate{.low = 0, .high = 10};
const NumberRange kPositive{.low = 0, .high = 1e6, .above_low = true};

/// LLaMA-Factory's, as far as they can be read: the names of fields, and the words in them.
const std::vector<std::string> kColumns{"messages", "images", "system", "prompt", "query", "response", "history"};
const std::vector<std::string> kTags{"role_tag",   "content_tag",     "user_tag",    "assistant_tag",
                                     "system_tag", "observation_tag", "function_tag"};

Field<DataSet> names_field(std::map<std::string, std::string> DataSet::*member, const std::vector<std::string>& keys) {
  std::string list;
  for (const std::string& key : keys) list += (list.empty() ? "" : ", ") + key;
  Field<DataSet> result{.accepted = "names for any of " + list, .fallback = "the usual names"};
  result.read = [member, keys](DataSet& set, const Yaml& yaml, const Place& place) {
    set.*member = names(yaml, keys, place);
  };
  result.shown = [member](const DataSet& set) { return (set.*member).empty() ? Json() : Json(set.*member); };
  return result;
}

Keys<DataSet> data_keys() {
  return {
      {"path", path_field(&DataSet::path, "a file, a folder, or a pattern of files", "required"),
       "The records: JSON, JSONL, Parquet, Arrow, WebDataset, or a dataset_info.json of LLaMA-Factory."},
      {"images",
       path_field(&DataSet::images, "a folder or a zip file", "the folder of path"),
       "What the names of pictures are relative to.",
       {"image_folder", "media_dir"}},
      {"weight", number_field(&DataSet::weight, kPositive),
       "How often a sample of this set is drawn in an epoch: 2 takes each twice; 0.5 takes half of them, and the "
       "others in the next epoch."},
      {"dataset", optional_text(&DataSet::dataset, "a name", "the only one"), "Which entry of a dataset_info.json."},
      {"formatting", optional_text(&DataSet::formatting, "sharegpt or alpaca", "told by each record"),
       "How records are written, as LLaMA-Factory calls it."},
      {"columns", names_field(&DataSet::columns, kColumns),
       "Which field of a record holds what, as in a dataset_info.json."},
      {"tags", names_field(&DataSet::tags, kTags), "Names inside a message, as in a dataset_info.json."},
      {"task", optional_text(&DataSet::task, "a task of `lithe eval`", "none"),
       "path is the folder of a benchmark as it was downloaded; its questions and right answers are the records."},
      {"split", optional_text(&DataSet::split, "a name", "the task's"), "Which part of the benchmark."},
      {"prompt", optional_text(&DataSet::prompt, "a form such as QCM-ALE", "the task's"),
       "What prompts and answers of scienceqa hold."},
  };
}

DataSet read_set(const Yaml& yaml, const Place& place) {
  DataSet set;
  if (yaml.kind == Yaml::Kind::text)
    set.path = path(yaml, place);
  else
    read_block(set, yaml, data_keys(), place);
  require(!set.path.empty(), Fault::bad_file, line_in(place.reading->source, yaml.line), place.key,
          " has no path; say where its records are.");
  require(!set.task.empty() || (set.split.empty() && set.prompt.empty()), Fault::bad_file,
          line_in(place.reading->source, yaml.line), place.key,
          " has a split or a prompt, but no task they belong to.");
  return set;
}

Field<Recipe> data_field(std::vector<DataSet> Recipe::*member, const std::string& fallback) {
  Field<Recipe> result{.accepted = "a path, or a list of paths and blocks with the keys below", .fallback = fallback};
  result.read = [member](Recipe& recipe, const Yaml& yaml, const Place& place) {
    if (yaml.kind != Yaml::Kind::list) {
      recipe.*member = {read_set(yaml, place)};
      return;
    }
    std::vector<DataSet> sets;
    for (const Yaml& item : yaml.items) {
      Place here = place;
      here.key += "[" + std::to_string(sets.size() + 1) + "]";
      here.line = item.line;
      sets.push_back(read_set(item, here));
    }
    recipe.*member = std::move(sets);
  };
  result.shown = [member](const Recipe& recipe) {
    Json list = Json::array();
    for (const DataSet& set : recipe.*member) list.push_back(shown(set, data_keys()));
    return list.empty() ? Json() : list;
  };
  return result;
}

Field<Recipe> train_field() {
  return words_field(&Recipe::train, "a list of patterns", "depends on lora, p_mod and eas");
}

/// Other than the other blocks, it has a key without a default.
Field<Recipe> eas_field() {
  Field<Recipe> result = block_field(&Recipe::eas, eas_keys());
  result.accepted = "the keys below; skip must be given";
  return result;
}

/// TrainingArguments' true and false, or a folder.
Field<Recipe> resume_field() {
  Field<Recipe> result{.accepted = "true, false, or a checkpoint folder", .fallback = "false"};
  result.read = [](Recipe& recipe, const Yaml& yaml, const Place& place) {
    const std::string word = path(yaml, place);
    if (word == "true" || word == "True")
      recipe.resume_from_checkpoint = "";
    else if (word != "false" && word != "False")
      recipe.resume_from_checkpoint = word;
  };
  result.shown = [](const Recipe& recipe) {
    if (!recipe.resume_from_checkpoint) return Json();
    return recipe.resume_from_checkpoint->empty() ? Json(true) : Json(*recipe.resume_from_checkpoint);
  };
  return result;
}

Field<Recipe> report_field() {
  Field<Recipe> result{.accepted = "tensorboard, html, both, or none", .fallback = "tensorboard, html"};
  result.read = [](Recipe& recipe, const Yaml& yaml, const Place& place) {
    const std::vector<std::string> words = tune::words(yaml, place);
    const auto has = [&](const char* word) { return std::find(words.begin(), words.end(), word) != words.end(); };
    const bool known = std::all_of(words.begin(), words.end(), [](const std::string& word) {
      return word == "tensorboard" || word == "html" || word == "none" || word == "all" || word == "both";
    });
    if (!known || (has("none") && words.size() > 1)) place.refuse(yaml, "tensorboard, html, both, or none");
    const bool both = has("all") || has("both");
    recipe.tensorboard = both || has("tensorboard");
    recipe.html = both || has("html");
  };
  result.shown = [](const Recipe& recipe) {
    if (!recipe.tensorboard && !recipe.html) return Json("none");
    return recipe.tensorboard && recipe.html ? Json("both") : Json(recipe.html ? "html" : "tensorboard");
  };
  return result;
}

/// Left out if another key says the same, so that the settings of a recipe are a recipe.
Field<Recipe> unless(Field<Recipe> field, bool (*said)(const Recipe&)) {
  field.shown = [shown = field.shown, said](const Recipe& recipe) { return said(recipe) ? Json() : shown(recipe); };
  return field;
}

Keys<Recipe> model_keys() {
  return {
      {"model_name_or_path",
       path_field(&Recipe::model_name_or_path, "a model folder, a hub name or a demo model", "required"),
       "The model to start from."},
      {"output_dir", path_field(&Recipe::output_dir, "a folder", "required"),
       "Where the tuned model, its plan, checkpoints, log and report go."},
      {"template", optional_text(&Recipe::template_name, "a conversation template", "the model's own"),
       "How conversations become text, and which part of the text is learned."},
      {"model_max_length",
       whole_field(&Recipe::model_max_length, {.low = 2, .high = 1 << 24}, "what the model can hold"),
       "Longest sample in tokens, with those of its pictures. A longer one can't be used; LLaMA-Factory cuts "
       "samples at 2048.",
       {"cutoff_len"}},
  };
}

Keys<Recipe> data_set_keys() {
  Field<Recipe> data = data_field(&Recipe::data, "required");
  data.help = [](const std::string& name) { return help_of(data_keys(), name + "[]."); };
  return {
      {"data", data, "The records to learn from."},
      {"eval_data", data_field(&Recipe::eval_data, "none"), "The records to evaluate on, written like data."},
      {"shuffle", flag_field(&Recipe::shuffle), "Draw the samples of an epoch in a random order."},
      {"group_by_length", flag_field(&Recipe::group_by_length),
       "Put samples of similar length into a batch. Within every 50 steps, the batches with the longest samples come "
       "first."},
      {"share_images", flag_field(&Recipe::share_images),
       "Compute the tokens of a picture once for all questions about it in a batch. These questions then follow "
       "each other; the gradients of a batch are the same."},
      {"skip_bad_samples", whole_field(&Recipe::skip_bad_samples, {}),
       "How many samples of data may be left out because they can't be used. Records of eval_data are counted "
       "separately, with the same limit. If there are more, the run ends. A sample counts again in each epoch. "
       "eval_data is checked before the first step."},
  };
}

Keys<Recipe> method_keys() {
  return {
      {"head",
       choice_field<Recipe, std::string>(
           &Recipe::head,
           {{"vqa", "vqa"}, {"nlvr2", "nlvr2"}, {"snli", "snli"}, {"itm", "itm"}, {"irtr", "irtr"}, {"mlm", "mlm"}},
           "none"),
       "The head that is trained; METER models need this key, others refuse it."},
      {"train", train_field(),
       "Which weights of the model itself learn, by their names; `*` is any text and `!` leaves out. The last pattern "
       "that fits decides. What the recipe adds (routers, adapters, LoRA) always learns."},
      {"lora", block_field(&Recipe::lora, lora_keys()), "Low-rank terms instead of the weights themselves (LoRA)."},
      {"p_mod", block_field(&Recipe::p_mod, p_mod_keys()), "Layers that compute only some vision tokens (p-MoD)."},
      {"eas", eas_field(), "Adapters in place of redundant attentions (EAS)."},
      {"pia_mean", choice_field(&Recipe::pia_mean, {{"prompt", PiaMean::prompt}, {"published", PiaMean::published}}),
       "The tokens over which a PIA takes its mean and its gate. prompt: those before the first answer, as when the "
       "model answers. published: all, as in LaVIN's published code; then a token of the answer sees later ones."},
  };
}

Keys<Recipe> step_keys() {
  const auto has_steps = [](const Recipe& recipe) { return recipe.max_steps.has_value(); };
  return {
      {"per_device_train_batch_size", whole_field(&Recipe::per_device_train_batch_size, {.low = 1, .high = 65536}),
       "Samples that a process computes at a time."},
      {"gradient_accumulation_steps", whole_field(&Recipe::gradient_accumulation_steps, {.low = 1, .high = 65536}),
       "Batches of an optimiser step."},
      {"num_train_epochs",
       unless(number_field(&Recipe::num_train_epochs, {.low = 0, .high = 1e6, .above_low = true}), has_steps),
       "How many times the run goes through the data."},
      {"max_steps", absent_or_whole_field(&Recipe::max_steps, {.low = 1, .absent = -1}, "num_train_epochs decides"),
       "Optimiser steps of the run; -1 is the default."},
      {"seed", whole_field(&Recipe::seed, {}),
       "The seed of the order of samples, of draws and of new weights. The same seed gives the same run."},
  };
}

Keys<Recipe> optimiser_keys() {
  const auto has_warmup = [](const Recipe& recipe) { return recipe.warmup_steps > 0; };
  const NumberRange beta{.low = 0, .high = 1, .below_high = true};
  return {
      {"learning_rate", number_field(&Recipe::learning_rate, kRate), "The highest learning rate of the run."},
      {"mm_projector_lr", number_field(&Recipe::mm_projector_lr, kRate, "learning_rate"),
       "The highest rate of the projector."},
      {"mm_vision_tower_lr", number_field(&Recipe::mm_vision_tower_lr, kRate, "learning_rate"),
       "The highest rate of the vision tower."},
      {"head_lr", number_field(&Recipe::head_lr, kRate, "learning_rate"),
       "For METER: the highest rate of the heads, except that of irtr."},
      {"cross_modal_lr", number_field(&Recipe::cross_modal_lr, kRate, "learning_rate"),
       "For METER: the highest rate of the two streams, with their adapters and poolers."},
      {"lr_scheduler_type",
       choice_field(&Recipe::lr_scheduler_type, {{"linear", LrSchedule::linear},
                                                 {"cosine", LrSchedule::cosine},
                                                 {"constant", LrSchedule::constant},
                                                 {"constant_with_warmup", LrSchedule::constant_with_warmup}}),
       "How the rate falls after the warm-up; constant has no warm-up."},
      {"warmup_ratio", unless(number_field(&Recipe::warmup_ratio, kShare), has_warmup),
       "The share of the steps in which the rate rises from 0."},
      {"warmup_steps", whole_field(&Recipe::warmup_steps, {}),
       "The number of steps in which the rate rises from 0, in place of warmup_ratio."},
      {"weight_decay", number_field(&Recipe::weight_decay, {.low = 0, .high = 10}),
       "AdamW's weight decay; not used for biases and norms."},
      {"adam_beta1", number_field(&Recipe::adam_beta1, beta), "AdamW's beta1."},
      {"adam_beta2", number_field(&Recipe::adam_beta2, beta), "AdamW's beta2."},
      {"adam_epsilon", number_field(&Recipe::adam_epsilon, {.low = 0, .high = 1}), "AdamW's epsilon."},
      {"max_grad_norm", number_field(&Recipe::max_grad_norm, {.low = 0, .high = 1e6}),
       "Gradients with a larger norm are scaled down to it; 0 leaves them."},
      {"bf16", flag_field(&Recipe::bf16),
       "Compute products and attention in bfloat16. Norms, softmax, loss, routers, adapters, LoRA and the optimiser "
       "stay in float32. It is faster on processors with AVX512-BF16 or AMX. Weights that do not learn keep the type "
       "of their file in any case."},
      {"gradient_checkpointing", flag_field(&Recipe::gradient_checkpointing),
       "Compute each layer again in the backward pass instead of keeping what it computed: less memory, more time."},
  };
}

Keys<Recipe> output_keys() {
  return {
      {"logging_steps", whole_field(&Recipe::logging_steps, {.low = 1}),
       "Steps between two points in TensorBoard. log.jsonl has every step. TrainingArguments' default of 500 would "
       "leave a short run without a point."},
      {"eval_steps", whole_field(&Recipe::eval_steps, {}),
       "Steps between two evaluations; 0 evaluates only at the end. In TrainingArguments the default is logging_steps, "
       "but an evaluation can take longer than the steps between two of them. It gives the loss, and with "
       "`metric_for_best_model: exact_match` also the score: the share of right answers."},
      {"save_steps", whole_field(&Recipe::save_steps, {}), "Steps between two checkpoints; 0 saves only the result."},
      {"save_total_limit", whole_field(&Recipe::save_total_limit, {.low = 1}, "all"),
       "How many checkpoints stay; the best one always stays."},
      {"metric_for_best_model",
       choice_field<Recipe, std::string>(&Recipe::metric_for_best_model,
                                         {{"loss", "loss"}, {"exact_match", "exact_match"}}, "none"),
       "Keep the checkpoint with the best loss or score over eval_data; each checkpoint is evaluated for this. The "
       "result is still that of the last step."},
      {"resume_from_checkpoint", resume_field(),
       "true continues from the newest checkpoint in output_dir, a folder from that checkpoint."},
      {"report_to", report_field(),
       "What is written beside log.jsonl: TensorBoard event files, and report.html, a page that needs no network. "
       "`all`, as in TrainingArguments, means both."},
  };
}

}  // namespace

const Keys<Recipe>& recipe_keys() {
  static const Keys<Recipe> kKeys = [] {
    Keys<Recipe> all;
    for (const auto& part :
         {model_keys(), data_set_keys(), method_keys(), step_keys(), optimiser_keys(), output_keys()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return kKeys;
}

std::vector<KeyHelp> recipe_help() {
  return help_of(recipe_keys(), "");
}

}  // namespace lithe::tune
