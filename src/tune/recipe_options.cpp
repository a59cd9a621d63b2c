#include "tune/recipe_options.h"

#include <cmath>

#include "base/error.h"
#include "base/printable.h"
#include "session/prompt_rows.h"
#include "tune/recipe_data.h"

namespace lithe::tune {
namespace {

/// Batches whose samples are sorted by length together, as transformers has it.
constexpr int64_t kGroupedBatches = 50;

image::DecodeOptions decoding_of(const models::Model& model) {
  return model.vision ? model.vision->preprocess.decode_options() : image::DecodeOptions();
}

/// Whether any number is left out in training.
bool has_dropout(const Recipe& recipe) {
  return (recipe.lora && recipe.lora->lora_dropout > 0) || (recipe.eas && recipe.eas->dropout > 0);
}

}  // namespace

std::unique_ptr<data::DataSet> open_set(const DataSet& set, const models::Model& model) {
  return open_set(set, model.family, decoding_of(model));
}

std::vector<WeightedSet> open_sets(const std::vector<DataSet>& sets, const models::Model& model) {
  return open_sets(sets, model.family, decoding_of(model));
}

std::unique_ptr<data::DataSet> open_records(const DataSet& set, const models::Model& model) {
  auto records = open_set(set, model);
  require(records->size() > 0, Fault::bad_file, in_quotes(set.path), " holds no record.");
  return records;
}

SampleOptions sample_options(const Recipe& recipe, const models::Model& model) {
  const int64_t longest = session::longest_sequence(model);
  require(recipe.model_max_length.value_or(0) <= longest, Fault::bad_request, "model_max_length is ",
          recipe.model_max_length.value_or(0), ", and ", model.name, " takes ", longest, " tokens at most");
  return {.conversation = recipe.template_name, .longest = recipe.model_max_length.value_or(longest)};
}

TrainerOptions trainer_options(const Recipe& recipe, const SampleOptions& sample, const Ranks& ranks) {
  return {.rates = {.learning_rate = recipe.learning_rate,
                    .mm_projector_lr = recipe.mm_projector_lr,
                    .mm_vision_tower_lr = recipe.mm_vision_tower_lr,
                    .router_lr = recipe.p_mod ? recipe.p_mod->router_lr : std::nullopt,
                    .weight_decay = recipe.weight_decay},
          .adamw = {recipe.adam_beta1, recipe.adam_beta2, recipe.adam_epsilon},
          .max_grad_norm = recipe.max_grad_norm,
          .pack = {.longest = sample.longest,
                   .share_images = recipe.share_images,
                   .every_row_is_prompt = recipe.pia_mean == PiaMean::published,
                   .dropout = has_dropout(recipe)},
          .ranks = ranks,
          .gradient_checkpointing = recipe.gradient_checkpointing};
}

MeterTrainer::Options meter_trainer_options(const Recipe& recipe, const Ranks& ranks) {
  return {.rates = {.learning_rate = recipe.learning_rate,
                    .mm_vision_tower_lr = recipe.mm_vision_tower_lr,
                    .head_lr = recipe.head_lr,
                    .cross_modal_lr = recipe.cross_modal_lr,
                    .weight_decay = recipe.weight_decay},
          .adamw = {recipe.adam_beta1, recipe.adam_beta2, recipe.adam_epsilon},
          .max_grad_norm = recipe.max_grad_norm,
          .dropout = has_dropout(recipe),
          .ranks = ranks};
}

RecordStreamOptions record_stream_options(const Recipe& recipe, const Ranks& ranks) {
  return {.order = {.shuffle = recipe.shuffle,
                    .share_images = recipe.share_images,
                    .length_group = recipe.group_by_length ? kGroupedBatches * global_batch(recipe, ranks) : 0,
                    .seed = static_cast<uint64_t>(recipe.seed),
                    .share = {ranks.rank(), ranks.size(), recipe.per_device_train_batch_size}},
          .ahead = 2 * recipe.per_device_train_batch_size,
          .skip_bad_samples = recipe.skip_bad_samples};
}

int64_t global_batch(const Recipe& recipe, const Ranks& ranks) {
  return recipe.per_device_train_batch_size * recipe.gradient_accumulation_steps * ranks.size();
}

int64_t steps_of(const Recipe& recipe, const Ranks& ranks, int64_t per_epoch) {
  return recipe.max_steps.value_or(static_cast<int64_t>(std::ceil(
      recipe.num_train_epochs * static_cast<double>(per_epoch) / static_cast<double>(global_batch(recipe, ranks)))));
}

}  // namespace lithe::tune
