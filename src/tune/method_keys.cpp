#include "tune/method_keys.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/error.h"
#include "plan/schedule.h"

namespace lithe::tune {
namespace {

const NumberRange kShare{.low = 0, .high = 1};
const NumberRange kRate{.low = 0, .high = 10};
const NumberRange kPositive{.low = 0, .high = 1e6, .above_low = true};
constexpr int64_t kMaxLayers = 4096;

/// Read here, so that the line of a bad name is told.
Field<PModRecipe> norm_field() {
  Field<PModRecipe> result = text_field(&PModRecipe::norm, "tanh, softmax, sigmoid or none, as in tanh_SCALE_BIAS");
  result.read = [](PModRecipe& block, const Yaml& yaml, const Place& place) {
    block.norm = text(yaml, place);
    plan::parse_weight_norm(block.norm, line_in(place.reading->source, place.line) + place.key);
  };
  return result;
}

/// A number of a schedule. Settings say it too if it is not given, of the schedules that take it.
Field<PModRecipe> schedule_field(std::optional<double> PModRecipe::*member, const NumberRange& range, double fallback,
                                 bool (*takes)(const std::string& schedule)) {
  Field<PModRecipe> result = number_field(member, range, concat(fallback));
  result.shown = [member, fallback, takes](const PModRecipe& block) {
    const std::optional<double>& given = block.*member;
    return given ? Json(*given) : takes(block.schedule) ? Json(fallback) : Json();
  };
  return result;
}

bool shares(const std::string& schedule) {
  return !plan::is_shifted(schedule);
}

Keys<EasSearchRecipe> search_keys() {
  using Search = EasSearchRecipe;
  return {
      {"bandit",
       choice_field(&Search::bandit, {{"sigmoid", Search::Bandit::sigmoid}, {"softmax", Search::Bandit::softmax}}),
       "How a score s becomes the probability of being skipped: sigmoid(s) as for LLaVA and METER, softmax(10 s) as "
       "for LaVIN."},
      {"steps", whole_field(&Search::steps, {.low = 1}, "as many as the tuning"), "Optimiser steps of the search."},
      {"warmup_steps", whole_field(&Search::warmup_steps, {}, "half of steps"),
       "Steps before scores are updated for the first time."},
      {"every_steps", whole_field(&Search::every_steps, {.low = 1}), "Steps between two updates of the scores."},
      {"draws", whole_field(&Search::draws, {.low = 2, .high = 1000}), "Lists of layers that an update compares."},
      {"rate", number_field(&Search::rate, kPositive, "1, or 2 for softmax"), "How far an update moves the scores."},
      {"ramp", flag_field(&Search::ramp),
       "Skip few layers early in the warm-up and the full number from its middle on, as the LLaVA code does."},
      {"learning_rate", number_field(&Search::learning_rate, kRate, "the recipe's"),
       "The learning rate during the search."},
      {"held_out", whole_field(&Search::held_out, {.low = 1, .high = 65536}),
       "How many samples draws are compared on; they are from eval_data, or kept out of data."},
      {"evaluate_on",
       choice_field(&Search::evaluate_on, {{"held_out", Search::EvaluateOn::held_out},
                                           {"training_batch", Search::EvaluateOn::training_batch},
                                           {"first_batch", Search::EvaluateOn::first_batch}}),
       "The samples on which draws are compared. The published code takes the step's own batch (LLaVA) or always the "
       "first batch (METER)."},
      {"evaluate_with_dropout", flag_field(&Search::evaluate_with_dropout),
       "Keep dropout on while draws are compared, as the LaVIN and METER code does."},
  };
}

Field<EasRecipe> skip_field() {
  Field<EasRecipe> result{.accepted = "a list of layers, or how many the search is to find", .fallback = "required"};
  result.read = [](EasRecipe& eas, const Yaml& yaml, const Place& place) {
    if (yaml.kind != Yaml::Kind::list) {
      eas.skip_count = whole(yaml, {.low = 1, .high = kMaxLayers}, place);
      return;
    }
    eas.skip_layers.clear();
    for (const Yaml& item : yaml.items) eas.skip_layers.push_back(whole(item, {.high = kMaxLayers}, place));
    std::sort(eas.skip_layers.begin(), eas.skip_layers.end());
    const auto twice = std::adjacent_find(eas.skip_layers.begin(), eas.skip_layers.end());
    if (twice != eas.skip_layers.end()) place.refuse(yaml, concat("each layer once: ", *twice, " is there twice"));
  };
  result.shown = [](const EasRecipe& eas) { return eas.skip_count ? Json(*eas.skip_count) : Json(eas.skip_layers); };
  return result;
}

/// Always there, as a search has defaults; said only if there is something to search.
Field<EasRecipe> search_field() {
  Field<EasRecipe> result{.accepted = "the keys below", .fallback = "their defaults"};
  result.read = [](EasRecipe& eas, const Yaml& yaml, const Place& place) {
    read_block(eas.search, yaml, search_keys(), place);
  };
  result.shown = [](const EasRecipe& eas) { return eas.skip_count ? shown(eas.search, search_keys()) : Json(); };
  result.help = [](const std::string& name) { return help_of(search_keys(), name + "."); };
  return result;
}

}  // namespace

Keys<LoraRecipe> lora_keys() {
  Keys<LoraRecipe> keys = {
      {"adapter_name_or_path", path_field(&LoraRecipe::adapter_name_or_path, "a PEFT folder or a hub name", "none"),
       "A LoRA for this model, which is trained further. Its rank, its alpha and the linear layers that it is on stay, "
       "so leave out the keys for these."},
      {"r", whole_field(&LoraRecipe::r, {.low = 1, .high = 65536}), "The rank.", {"rank", "lora_rank"}},
      {"lora_alpha",
       number_field(&LoraRecipe::lora_alpha, kPositive, "2 r"),
       "The low-rank term is multiplied by lora_alpha / r. The default is LLaMA-Factory's; PEFT's is 8.",
       {"alpha"}},
      {"lora_dropout",
       number_field(&LoraRecipe::lora_dropout, {.low = 0, .high = 1, .below_high = true}),
       "The share of the term's input that is left out at random in training.",
       {"dropout"}},
      {"target_modules",
       words_field(&LoraRecipe::target_modules, "a list of last parts of names, as [q_proj, v_proj], or all-linear",
                   "all-linear"),
       "Which linear layers of the decoder get a term. The default is LLaMA-Factory's; PEFT asks for a list.",
       {"lora_target"}},
      {"use_rslora", flag_field(&LoraRecipe::use_rslora), "Divide lora_alpha by the root of r instead of by r."},
      {"bias", choice_field(&LoraRecipe::bias, {{"none", "none"}}), "PEFT's key; to learn biases, name them in train."},
  };
  for (Key<LoraRecipe>& key : keys) {
    if (std::find(kOfAdapter.begin(), kOfAdapter.end(), key.name) == kOfAdapter.end()) continue;
    key.field.shown = [shown = key.field.shown](const LoraRecipe& lora) {
      return lora.adapter_name_or_path.empty() ? shown(lora) : Json();
    };
  }
  return keys;
}

Keys<PModRecipe> p_mod_keys() {
  using Text = std::string;
  return {
      {"schedule",
       text_field(&PModRecipe::schedule,
                  "shiftedcos, shiftedlinear, interleave, deep_all, deep_all_include_last, or a "
                  "published name as shiftedcos_decay_0.85_0.15"),
       "How the share of tokens that a layer keeps falls with depth (docs/plans.md)."},
      {"shift", schedule_field(&PModRecipe::shift, {.low = -1, .high = 2}, plan::Schedule{}.factor, plan::is_shifted),
       "What a shifted schedule adds to its curve; R in the paper."},
      {"untouched_above",
       schedule_field(&PModRecipe::untouched_above, kShare, plan::Schedule{}.untouched_above, plan::leaves_bounds_open),
       "Layers whose share would be larger keep every token."},
      {"floor", schedule_field(&PModRecipe::floor, kShare, plan::Schedule{}.floor, plan::leaves_bounds_open),
       "The smallest share."},
      {"share", schedule_field(&PModRecipe::share, kShare, plan::Schedule{}.factor, shares),
       "The share of interleave, deep_all and deep_all_include_last."},
      {"divisor", whole_field(&PModRecipe::divisor, {.low = 1, .high = kMaxLayers}, "the layers less one"),
       "What the number of a layer is divided by. The published code takes 31 for any depth, so it runs the tuned "
       "model as p-MoD only if this is 31."},
      {"norm", norm_field(), "How a router's result becomes a token's weight."},
      {"group",
       choice_field<PModRecipe, Text>(&PModRecipe::group,
                                      {{"vision", "vision"}, {"vision_high_res", "vision_high_res"}, {"all", "all"}}),
       "Which tokens a layer may skip."},
      {"by",
       choice_field<PModRecipe, Text>(&PModRecipe::by,
                                      {{"router", "router"}, {"random", "random"}, {"uniform", "uniform"}}),
       "How the tokens that a layer runs are chosen. random and uniform are controls for comparison: they learn no "
       "router."},
      {"seed", whole_field(&PModRecipe::seed, {}), "The seed of `by: random`."},
      {"router_lr", number_field(&PModRecipe::router_lr, kRate, "learning_rate"), "The learning rate of the routers."},
  };
}

Keys<EasRecipe> eas_keys() {
  const WholeRange width{.low = 1, .high = 65536};
  return {
      {"skip", skip_field(),
       "The decoder layers whose attention is replaced by an adapter (PIA); []: none is skipped, and there are only "
       "adapters before attentions, as in LaVIN."},
      {"rep_dim",
       whole_field(&EasRecipe::rep_dim, width),
       "Width of the adapters before attentions that stay (RepAdapter).",
       {"adapt_dim"}},
      {"pia_dim",
       whole_field(&EasRecipe::pia_dim, width),
       "Width of the adapters in place of skipped attentions.",
       {"replaced_dim"}},
      {"groups", whole_field(&EasRecipe::groups, {.low = 1, .high = 1024}),
       "Number of diagonal blocks in an adapter's second matrix; it must divide rep_dim, pia_dim and the model's "
       "width."},
      {"scale", number_field(&EasRecipe::scale, {.low = 0, .high = 1000, .above_low = true}),
       "What the result of an adapter is multiplied by."},
      {"temperature", number_field(&EasRecipe::temperature, {.low = 0, .high = 1e4, .above_low = true}),
       "The gate of an adapter is softmax(z / temperature), where z is the output of the gate's own linear layer."},
      {"dropout", number_field(&EasRecipe::dropout, {.low = 0, .high = 1, .below_high = true}),
       "The share of an adapter's hidden values that is left out at random in training. The published recipes take "
       "0.1."},
      {"tower", flag_field(&EasRecipe::tower), "RepAdapters in the vision tower too."},
      {"search", search_field(), "How layers are found if skip is a number."},
  };
}

}  // namespace lithe::tune
