#include "checkpoints/write/tuned.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoints/read/lavin_folder.h"
#include "checkpoints/read/layouts.h"
#include "checkpoints/read/weights.h"
#include "checkpoints/write/changed_folder.h"
#include "checkpoints/write/lavin_adapter.h"
#include "checkpoints/write/renamed_weights.h"
#include "checkpoints/write/tuned_config.h"
#include "checkpoints/write/tuned_weights.h"
#include "io/atomic_file.h"
#include "io/checkpoint.h"
#include "io/hub_cache.h"
#include "io/new_folder.h"
#include "plan/parse.h"
#include "plan/validate.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

constexpr WeightFile::Refusals kTunedRefusals{"; lower the learning rate",
                                              "; tune a base model whose weights are bfloat16 or float32"};

/// A model's folder after tuning.
class TunedFolder {
 public:
  TunedFolder(const Model& model, const plan::Plan& plan, const TunedOptions& options)
      : model_(model),
        plan_(plan),
        weights_(held_weights(model)),
        shown_(shown_layers(model)),
        checkpoint_(io::Checkpoint::open(model.folder)) {
    plan::validate(plan, model.facts);
    std::erase_if(weights_, [](const auto& entry) { return !entry.second.learned && !entry.second.is_new; });
    if (options.plan_is_final) take_out_what_never_runs();
    config_ = tuned_config(model, plan, shown_, pinned_config(model));
    name_layouts();
  }

  TunedCount write(const fs::path& folder) const {
    io::make_folder(folder);
    // The base may be tuned too: what its run left tells nothing about this one.
    io::copy_others(model_.folder, folder, {"config.json", "plan.json", "log.jsonl", "report.html"});
    io::write_json_atomic(folder / "config.json", config_.json);
    if (!config_.says_plan) io::write_json_atomic(folder / "plan.json", plan::to_json(plan_));
    TunedCount count = counted();
    count.rounding = own_file().write(folder / "model.safetensors");
    if (model_.tower_folder.empty()) return count;
    const io::Checkpoint tower = io::Checkpoint::open(model_.tower_folder);
    const fs::path out = folder / io::name_of_folder(model_.tower_folder);
    count.rounding = std::max(count.rounding, write_tower_folder(model_, file_of(tower), out));
    return count;
  }

 private:
  /// Of a layer that holds an attention and a PIA, one of both stays.
  void take_out_what_never_runs() {
    for (auto& [layer, eas] : shown_.decoder) {
      if (!eas.holds_both()) continue;
      const plan::LayerPlan* entry = plan_.find("decoder", layer);
      if (!entry || entry->self_attention) {
        eas.pia.reset();
      } else {
        eas.attention = false;
        eas.adapter.reset();
      }
    }
  }

  bool drops(const WeightName& name) const {
    if (name.part != Part::decoder || !name.in_layer()) return false;
    const EasLayer eas = eas_of(shown_.decoder, name.layer);
    if (name.adapter == Adapter::pia) return !eas.pia;
    if (name.adapter == Adapter::rep) return !eas.adapter;
    return is_attention(name.role) && !eas.attention;
  }

  void name_layouts() {
    const JsonView config(config_.json, model_.config_file.string());
    old_ = new_ = layout_of(model_, config, checkpoint_);
    if (model_.family == "llava_original") old_.wrapped = layers_with_router(checkpoint_, old_.decoder, shown_.layers);
  }

  /// Layers that got a router have other names in LLaVA's own layout.
  std::string renamed(const std::string& in_file) const {
    if (old_.wrapped == new_.wrapped) return in_file;
    const std::optional<PartName> part = part_of(old_, in_file);
    return part ? name_in(new_, *part) : in_file;
  }

  /// transformers ties the head only if the file has no other one.
  bool is_copy_of_embeddings(const std::string& in_file) const {
    const WeightName name{.part = Part::decoder};
    return model_.decoder.config.tied_embeddings && in_file == name_in(old_, name.with(Role::head)) &&
           weights_.contains(name.with(Role::embeddings));
  }

  WeightFile file_of(const io::Checkpoint& checkpoint) const {
    std::map<WeightName, MadeWeight> made;
    for (const auto& [name, origin] : model_.loaded.origins) {
      const auto tuned = weights_.find(name);
      if (tuned == weights_.end() || origin.checkpoint != checkpoint.path()) continue;
      MadeWeight weight = tuned->second.made;
      weight.type = tensor_over(checkpoint.at(origin.in_file)).scalar_type();
      made.emplace(name, std::move(weight));
    }
    WeightFile file(kTunedRefusals);
    const ChangedWeights changes{
        std::move(made), [this](const WeightName& name) { return drops(name); },
        [this](const std::string& in_file, const WeightName* weight) -> std::optional<std::string> {
          if (!weight && is_copy_of_embeddings(in_file)) return std::nullopt;
          return renamed(in_file);
        }};
    list_changed(model_, checkpoint, changes, file);
    return file;
  }

  /// With everything that is new, also what was added to a tower that has a folder of its own.
  WeightFile own_file() const {
    WeightFile file = file_of(checkpoint_);
    for (const auto& [name, weight] : weights_) {
      if (weight.is_new && !drops(name)) file.make(name_in(new_, name), weight.made);
    }
    return file;
  }

  TunedCount counted() const {
    TunedCount count;
    for (const auto& [name, weight] : weights_) {
      if (!drops(name)) ++(weight.is_new ? count.added : count.changed);
    }
    return count;
  }

  const Model& model_;
  const plan::Plan& plan_;
  std::map<WeightName, TunedWeight> weights_;
  ShownLayers shown_;  ///< Of the folder that is written.
  io::Checkpoint checkpoint_;
  TunedConfig config_;
  Layout old_, new_;  ///< Names before and after.
};

}  // namespace

TunedCount write_tuned(const Model& model, const plan::Plan& plan, const fs::path& folder,
                       const TunedOptions& options) {
  require(!model.loaded.origins.empty(), Fault::bad_request, model.name,
          ": was not read from a folder, so there is nothing to write its weights beside");
  require(model.facts.low_rank.empty() && !model.loaded.lora, Fault::bad_request, model.name,
          ": has LoRA, which is written as a PEFT folder; fold that afterwards to get a whole model");
  const bool in_parts = model.family == "lavin" && !LavinFolder::open(model.folder).whole();
  try {
    if (in_parts) return write_lavin_adapter(model, plan, folder, options);
    return TunedFolder(model, plan, options).write(folder);
  } catch (const fs::filesystem_error& error) {
    fail(Fault::bad_file, folder.string(), ": the folder cannot be written: ", error.code().message());
  }
}

}  // namespace lithe::models
