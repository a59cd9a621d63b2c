#include "tune/methods.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/model_folder.h"
#include "models/additions.h"
#include "plan/parse.h"
#include "text/conversation.h"
#include "tune/name_pattern.h"
#include "tune/parameters.h"

namespace lithe::tune {
namespace {

using models::Part;
using models::WeightName;

/// Added by a method, so it learns whatever `train` says.
bool is_added(const WeightName& name) {
  return name.adapter != models::Adapter::none || name.role == models::Role::router ||
         name.kind == models::Kind::factor_a || name.kind == models::Kind::factor_b;
}

/// As patterns are written: the part and the name within it.
std::string spelt(const WeightName& name) {
  if (name.part == Part::tower) return "model.vision_tower." + text_of(name);
  if (name.part == Part::projector) return "model.mm_projector." + text_of(name);
  return "model." + text_of(name);
}

bool learns(const Recipe& recipe, const WeightName& name) {
  if (is_added(name)) return true;
  if (recipe.train) return chosen(*recipe.train, spelt(name));
  if (recipe.lora) return false;
  if (recipe.eas) return name.part == Part::projector;
  return name.part != Part::tower;
}

/// The decoder layers that a plan asks a router for and that have none.
std::vector<int64_t> missing_routers(const models::Model& model, const Json& plan) {
  plan::ModelFacts any = model.facts;
  any.routers_everywhere = true;
  std::vector<int64_t> layers;
  for (const plan::LayerPlan& layer : plan::parse_plan(plan, "the recipe", any).layers) {
    const bool asks =
        std::any_of(layer.rules.begin(), layer.rules.end(), [](const plan::Rule& rule) { return rule.by == "router"; });
    if (asks && layer.stream == "decoder" && !model.facts.has_router("decoder", layer.layer))
      layers.push_back(layer.layer);
  }
  return layers;
}

void add_eas(const EasRecipe& eas, const std::vector<int64_t>& skipped, uint64_t seed, models::Model& model) {
  std::vector<int64_t> kept, attends;  // layers without an attention of their own get no adapter
  for (int64_t layer = 0; layer < model.decoder.config.layers; ++layer) {
    if (model.facts.is_fixed("decoder", layer, "self")) continue;
    attends.push_back(layer);
    if (std::find(skipped.begin(), skipped.end(), layer) == skipped.end()) kept.push_back(layer);
  }
  models::NewAdapters wanted{.tower = eas.tower,
                             .rep_rank = eas.rep_dim,
                             .pia_rank = eas.pia_dim,
                             .groups = eas.groups,
                             .scale = eas.scale,
                             .temperature = eas.temperature,
                             .seed = seed};
  // A search tries every layer with and without its attention.
  wanted.reps = skipped.empty() ? attends : kept;
  wanted.pias = skipped.empty() ? attends : skipped;
  models::add_adapters(model, wanted);
}

void set_template(const std::string& name, models::Prompting& prompting) {
  if (name.empty()) return;
  prompting.conversation = text::conversation_named(name).name;
  prompting.chat_template.reset();
}

}  // namespace

models::LoraShape lora_shape(const Recipe& recipe) {
  return {.rank = recipe.lora->r,
          .alpha = recipe.lora->alpha(),
          .rank_stabilised = recipe.lora->use_rslora,
          .target_modules = recipe.lora->target_modules,
          .seed = static_cast<uint64_t>(recipe.seed)};
}

ReadyModel ready_model(const Recipe& recipe, const std::vector<int64_t>& skipped) {
  ReadyModel ready{models::open_model(models::model_folder(recipe.model_name_or_path),
                                      {.learns = [&](const WeightName& name) { return learns(recipe, name); }}),
                   {}};
  models::Model& model = *ready.model;
  set_template(recipe.template_name, model.prompting);
  const std::vector<int64_t>& off = skipped.empty() && recipe.eas ? recipe.eas->skip_layers : skipped;
  if (recipe.eas) add_eas(*recipe.eas, off, static_cast<uint64_t>(recipe.seed), model);
  if (recipe.lora) models::add_lora(model, lora_shape(recipe));
  Json plan = plan_of(recipe, skipped);
  // A model that has a plan keeps it under EAS: attentions are skipped on top of its p-MoD.
  if (recipe.eas && !recipe.p_mod && !plan.is_null() && !model.plan.layers.empty())
    plan = {{"combine", Json::array({plan::to_json(model.plan), plan})}};
  if (!plan.is_null()) models::add_routers(model, missing_routers(model, plan));
  ready.plan = plan.is_null() ? model.plan : plan::parse_plan(plan, recipe.file.string(), model.facts);
  return ready;
}

}  // namespace lithe::tune
