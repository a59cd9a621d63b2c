#include "tune/methods.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/gguf/files.h"
#include "checkpoints/read/lavin_folder.h"
#include "checkpoints/read/lora.h"
#include "checkpoints/read/model_folder.h"
#include "checkpoints/write/lavin_adapter.h"
#include "checkpoints/write/pmod_keys.h"
#include "checkpoints/write/tuned_config.h"
#include "models/additions.h"
#include "models/compute.h"
#include "plan/parse.h"
#include "text/conversation.h"
#include "tune/name_pattern.h"
#include "tune/parameters.h"
#include "tune/pattern_use.h"

namespace lithe::tune {
namespace {

using models::Part;
using models::WeightName;

/// Of what would only be found out when LaVIN's adapter is written. A whole folder has a place for every weight.
void check_lavin(const Recipe& recipe, const models::Model& model) {
  if (model.family != "lavin" || models::LavinFolder::open(model.folder).whole()) return;
  require(!recipe.lora, Fault::bad_request, model.name,
          ": holds LaVIN in parts, and LoRA goes over one folder; `lithe convert --to hf` joins them");
  require(!recipe.p_mod || recipe.p_mod->by != "router", Fault::bad_request, model.name,
          ": holds LaVIN in parts, and its adapter file has no place for routers; `lithe convert --to hf` joins them");
  visit(model, [&](const models::HeldWeight& held) {
    require(models::in_lavin_adapter(held.name) || !held.weight.learning(), Fault::bad_request, model.name, ": ",
            text_of(held.name), " learns by `train`, which LaVIN's adapter file has no place for; leave it out");
  });
}

/// Added by a method, so it learns whatever `train` says.
bool is_added(const WeightName& name) {
  return name.adapter != models::Adapter::none || name.role == models::Role::router ||
         name.role == models::Role::modality || name.kind == models::Kind::factor_a ||
         name.kind == models::Kind::factor_b;
}

/// As patterns are written: the part and the name within it.
std::string spelt(const WeightName& name) {
  if (name.part == Part::tower) return "model.vision_tower." + text_of(name);
  if (name.part == Part::projector) return "model.mm_projector." + text_of(name);
  return "model." + text_of(name);
}

/// Of what would only be found out when the tuned model is written.
void check_lora(const models::Model& model) {
  visit(model, [&](const models::HeldWeight& held) {
    require(!held.linear || !held.linear->low_rank || !held.linear->weight.learning(), Fault::bad_request, model.name,
            ": ", spelt(held.name), " learns by `train`, and so does the LoRA on it; leave one of both out");
  });
}

/// Of what would only be found out when config.json is written.
void check_adapters(const models::Model& model) {
  Json unused = Json::object();
  models::say_shape_of_adapters(model, models::shown_layers(model), unused);
}

/// A layer takes one adapter of a kind.
void refuse_second_adapters(const models::Model& model, const models::NewAdapters& wanted) {
  const auto is_wanted = [](const models::LayerChoice& layers, int64_t layer) {
    return layers && std::find(layers->begin(), layers->end(), layer) != layers->end();
  };
  for (const auto& [layer, eas] : model.decoder.config.eas) {
    const bool twice = (eas.adapter && is_wanted(wanted.reps, layer)) || (eas.pia && is_wanted(wanted.pias, layer));
    require(!twice, Fault::bad_request, model.name, ": decoder layer ", layer,
            " has an adapter already, and `eas` would add another; leave `eas` out to train on those that are there");
  }
}

/// `lavin`: its adapter file holds the projector too, and nothing else of the model.
bool learns(const Recipe& recipe, const WeightName& name, bool lavin) {
  if (is_added(name)) return true;
  if (recipe.train) return chosen(*recipe.train, spelt(name));
  if (lavin) return name.part == Part::projector;
  if (recipe.lora) return false;
  if (recipe.eas) return name.part == Part::projector;
  return name.part != Part::tower;
}

/// The decoder layers that a plan asks a router for.
std::vector<int64_t> routed_layers(const models::Model& model, const Json& plan) {
  plan::ModelFacts any = model.facts;
  any.routers_everywhere = true;
  std::vector<int64_t> layers;
  for (const plan::LayerPlan& layer : plan::parse_plan(plan, "the recipe", any).layers) {
    const bool asks =
        std::any_of(layer.rules.begin(), layer.rules.end(), [](const plan::Rule& rule) { return rule.by == "router"; });
    if (asks && layer.stream == "decoder") layers.push_back(layer.layer);
  }
  return layers;
}

/// Gives those layers a router that have none, and says how many have one.
void add_routers(const Json& plan, ReadyModel& ready) {
  std::vector<int64_t> missing = routed_layers(*ready.model, plan);
  const size_t held =
      std::erase_if(missing, [&](int64_t layer) { return ready.model->facts.has_router("decoder", layer); });
  models::add_routers(*ready.model, missing);
  if (held > 0)
    ready.notes.push_back(concat("of the layers that p_mod names, ", held,
                                 held == 1 ? " has a router" : " have routers",
                                 " already; what they learnt stays, and they learn on"));
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
                             .dropout = eas.dropout,
                             .seed = seed};
  // A search tries every layer with and without its attention. Without one, an empty list is LaVIN: adapters alone.
  const bool searches = skipped.empty() && eas.skip_count;
  wanted.reps = searches ? attends : kept;
  wanted.pias = searches ? attends : skipped;
  refuse_second_adapters(model, wanted);
  models::add_adapters(model, wanted);
}

/// That of a PEFT folder that learns on. Throws Error{bad_request} if its products differ in rank or alpha.
models::LoraShape shape_of_adapter(const LoraRecipe& recipe, const std::filesystem::path& folder) {
  const models::LoraConfig config = models::config_of_lora(folder);
  require(
      config.ranks.empty() && config.alphas.empty(), Fault::bad_request, folder.string(),
      ": has rank_pattern or alpha_pattern, and only LoRA of one rank and alpha can be tuned further; merge it into "
      "the model with `lithe fold` first");
  return {.rank = config.rank,
          .alpha = config.alpha,
          .rank_stabilised = config.rank_stabilised,
          .dropout = recipe.lora_dropout};
}

/// New LoRA, or that of an adapter, which learns on.
void ready_lora(const Recipe& recipe, ReadyModel& ready) {
  models::Model& model = *ready.model;
  const models::LoraShape shape = lora_shape(recipe, model);
  if (!model.loaded.lora) return models::add_lora(model, shape);
  models::set_lora_dropout(model, shape.dropout, static_cast<uint64_t>(recipe.seed));
  if (model.loaded.lora->whole > 0 && !recipe.train)
    ready.notes.push_back(concat(model.loaded.lora->folder.string(), ": brings ", model.loaded.lora->whole,
                                 " tensors of its own beside its LoRA; of these, only routers, adapters and LaVIN's "
                                 "modality embeddings learn on if `train` does not name the others"));
}

void set_template(const std::string& name, models::Prompting& prompting) {
  if (name.empty()) return;
  prompting.conversation = text::conversation_named(name).name;
  prompting.chat_template.reset();
}

}  // namespace

models::LoraShape lora_shape(const Recipe& recipe, const models::Model& model) {
  if (model.loaded.lora) return shape_of_adapter(*recipe.lora, model.loaded.lora->folder);
  return {.rank = recipe.lora->r,
          .alpha = recipe.lora->alpha(),
          .rank_stabilised = recipe.lora->use_rslora,
          .dropout = recipe.lora->lora_dropout,
          .target_modules = recipe.lora->target_modules,
          .seed = static_cast<uint64_t>(recipe.seed)};
}

ReadyModel ready_model(const Recipe& recipe, const std::vector<int64_t>& skipped, const std::string& device) {
  PatternUse patterns(recipe);
  const std::filesystem::path folder = models::model_folder(recipe.model_name_or_path);
  models::refuse_gguf(folder, "tune");
  const bool lavin = models::LavinFolder::is(folder);
  const auto learns_here = [&](const WeightName& name) {
    patterns.see(spelt(name));
    return learns(recipe, name, lavin);
  };
  const std::string adapter = recipe.lora ? recipe.lora->adapter_name_or_path : "";
  ReadyModel ready{.model = models::open_model(folder, {.lora = adapter, .device = device, .learns = learns_here})};
  models::Model& model = *ready.model;
  require(!model.loaded.lora || !adapter.empty(), Fault::bad_request, model.name,
          ": has LoRA already; to tune it further, give its base model as model_name_or_path and this folder as "
          "lora.adapter_name_or_path, or merge it into the model with `lithe fold` first");
  patterns.check(model.name, "model.layers.0.self_attn.q_proj.weight");
  check_lavin(recipe, model);
  set_template(recipe.template_name, model.prompting);
  const std::vector<int64_t>& off = skipped.empty() && recipe.eas ? recipe.eas->skip_layers : skipped;
  if (recipe.eas) add_eas(*recipe.eas, off, static_cast<uint64_t>(recipe.seed), model);
  if (recipe.lora) ready_lora(recipe, ready);
  models::round_within_products(model);
  if (recipe.bf16) models::compute_in_bfloat16(model);
  Json plan = plan_of(recipe, skipped);
  // A model that has a plan keeps it under EAS: attentions are skipped on top of its p-MoD.
  if (recipe.eas && !recipe.p_mod && !plan.is_null() && !model.plan.layers.empty())
    plan = {{"combine", Json::array({plan::to_json(model.plan), plan})}};
  if (recipe.p_mod) add_routers(plan, ready);
  ready.plan = plan.is_null() ? model.plan : plan::parse_plan(plan, recipe.file.string(), model.facts);
  check_lora(model);
  check_adapters(model);
  return ready;
}

}  // namespace lithe::tune
