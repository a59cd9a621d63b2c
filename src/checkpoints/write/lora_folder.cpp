#include "checkpoints/write/lora_folder.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/lavin_folder.h"
#include "checkpoints/read/lora.h"
#include "checkpoints/write/renamed_weights.h"
#include "checkpoints/write/tuned_config.h"
#include "checkpoints/write/tuned_weights.h"
#include "io/atomic_file.h"
#include "io/checkpoint.h"
#include "io/new_folder.h"
#include "plan/parse.h"
#include "plan/validate.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

constexpr WeightFile::Refusals kLoraRefusals{"; lower the learning rate", ""};
constexpr const char* kPrefix = "base_model.model.";  // of PEFT

/// The modules of transformers 5, as PEFT sees them.
Layout modules_of_transformers() {
  return {.decoder = "model.language_model.",
          .head = "",
          .tower = "model.vision_tower.",
          .projector = "model.multi_modal_projector.",
          .newline = "model."};
}

std::string module_in(const Layout& layout, const WeightName& name) {
  const std::string weight = name_in(layout, name.with(Kind::weight));
  return weight.substr(0, weight.rfind('.'));
}

/// What transformers has no module for.
bool is_ours(const WeightName& name) {
  return name.adapter != Adapter::none || name.role == Role::router;
}

/// A parameter that is not the weight or bias of a module, and so cannot be in modules_to_save.
bool is_bare(const WeightName& name) {
  return name.role == Role::newline || name.role == Role::class_embedding;
}

class LoraWriter {
 public:
  LoraWriter(const Model& model, const LoraShape& shape, const plan::Plan& plan)
      : model_(model), shape_(shape), plan_(plan), checkpoint_(io::Checkpoint::open(model.folder)) {
    plan::validate(plan, model.facts);
    json_ = read_config_file(model.config_file);
    base_ = layout_of(model, JsonView(json_, model.config_file.string()), checkpoint_);
    peft_ = is_original() || is_lavin() ? base_ : modules_of_transformers();
    list_products();
    list_whole();
  }

  LoraCount write(const fs::path& folder) const {
    io::make_folder(folder);
    io::write_json_atomic(folder / "adapter_config.json", adapter_config());
    write_config_and_plan(folder);
    WeightFile file(kLoraRefusals);
    for (const auto& [name, linear] : products_) {
      add_factor(file, name.with(Kind::factor_a), linear->low_rank->a, linear->in());
      add_factor(file, name.with(Kind::factor_b), linear->low_rank->b, linear->out());
    }
    for (const auto& [name, weight] : whole_) {
      const std::string in_file = name_in(is_ours(name) ? base_ : peft_, name);
      file.make(kPrefix + in_file, {at::kFloat, with_unread_rows(name, weight.made.shape), weight.made.make});
    }
    file.write(folder / "adapter_model.safetensors");
    return {static_cast<int64_t>(products_.size()), static_cast<int64_t>(whole_.size())};
  }

 private:
  bool is_original() const { return model_.family == "llava_original"; }
  bool is_lavin() const { return model_.family == "lavin"; }  ///< transformers has no modules of it.

  /// A tower of LLaVA's own layout is not there yet when its code adds LoRA.
  bool is_seen_by_peft(const WeightName& name) const {
    return name.adapter == Adapter::none && name.role != Role::patches && (!is_original() || name.part != Part::tower);
  }

  void list_products() {
    visit(model_, [this](const HeldWeight& held) {
      if (!held.linear) return;
      if (is_seen_by_peft(held.name)) list_modules(held.name);
      if (!held.linear->low_rank) return;
      const nn::LowRank& added = *held.linear->low_rank;
      require(added.rank() == shape_.rank && added.scale == shape_.scale(), Fault::bad_request, model_.name,
              ": the LoRA of ", text_of(held.name), " has rank ", added.rank(), " and scale ", added.scale,
              ", expected ", shape_.rank, " and ", shape_.scale());
      products_.emplace(held.name, held.linear);
    });
    require(!products_.empty(), Fault::bad_request, model_.name, ": has no LoRA that could be written");
  }

  /// transformers also has the layers of a tower that are not run.
  void list_modules(WeightName name) {
    modules_.insert(module_in(peft_, name));
    if (name.part != Part::tower || name.layer != 0) return;
    const VisionTowerConfig& tower = model_.vision->tower.config;
    for (name.layer = tower.layers_run; name.layer < tower.layers; ++name.layer)
      modules_.insert(module_in(peft_, name));
  }

  /// What learned or is new, what a folder of LoRA brought that the model was opened with, and the rest of the modules
  /// of these: PEFT saves modules whole.
  void list_whole() {
    const std::map<WeightName, TunedWeight> all = held_weights(model_);
    std::set<std::string> brought;
    if (model_.loaded.lora) brought = LoraFolder::open(model_.loaded.lora->folder).whole_names();
    std::set<WeightName> modules;  // by their weights
    for (const auto& [name, weight] : all) {
      if (weight.learned || weight.is_new || brought.contains(text_of(name))) modules.insert(name.with(Kind::weight));
    }
    // A checkpoint with the patch embedding is taken for one with the whole tower.
    const bool needs_tower = modules.contains({.part = Part::tower, .role = Role::patches});
    for (const auto& [name, weight] : all) {
      if (modules.contains(name.with(Kind::weight)) || (needs_tower && name.part == Part::tower))
        whole_.emplace(name, weight);
    }
    for (const auto& [name, weight] : whole_) {
      require(!products_.contains(name.with(Kind::weight)), Fault::bad_request, model_.name, ": ", text_of(name),
              " learned whole, and so did LoRA on the same product; let only one of both learn");
    }
  }

  Json adapter_config() const {
    Json json = {{"peft_type", "LORA"},
                 {"task_type", nullptr},
                 {"base_model_name_or_path", model_.folder.string()},
                 {"r", shape_.rank},
                 {"lora_alpha", shape_.alpha},
                 {"lora_dropout", shape_.dropout},
                 {"use_rslora", shape_.rank_stabilised},
                 {"bias", "none"},
                 {"target_modules", targets()},
                 {"modules_to_save", nullptr},
                 {"init_lora_weights", true},
                 {"inference_mode", true}};
    const std::set<std::string> saved = saved_modules();
    if (!saved.empty()) json["modules_to_save"] = saved;
    const WeightName embeddings{.part = Part::decoder, .role = Role::embeddings};
    if (model_.decoder.config.tied_embeddings && whole_.contains(embeddings)) json["ensure_weight_tying"] = true;
    return json;
  }

  /// The ends of names if they mean just the products that have LoRA, else whole names.
  std::set<std::string> targets() const {
    std::set<std::string> names, ends;
    for (const auto& [name, linear] : products_) {
      const std::string module = module_in(peft_, name);
      names.insert(module);
      ends.insert(module.substr(module.rfind('.') + 1));
    }
    if (shape_.target_modules != std::vector<std::string>{"all-linear"})
      ends = {shape_.target_modules.begin(), shape_.target_modules.end()};
    std::set<std::string> meant;
    for (const std::string& module : modules_) {
      if (std::any_of(ends.begin(), ends.end(), [&](const auto& end) { return ends_with_module(module, end); }))
        meant.insert(module);
    }
    return meant == names ? ends : names;
  }

  std::set<std::string> saved_modules() const {
    std::set<std::string> modules;
    for (const auto& [name, weight] : whole_)
      if (!is_ours(name) && !is_bare(name)) modules.insert(module_in(peft_, name));
    return modules;
  }

  void write_config_and_plan(const fs::path& folder) const {
    Json config = json_;
    if (!model_.prompting.conversation.empty()) config["conversation"] = model_.prompting.conversation;
    if (is_lavin()) config["gates_read_prompt"] = gates_read_prompt(model_);
    const TunedConfig tuned = tuned_config(model_, plan_, shown_layers(model_), config);
    const bool brought = model_.config_file.parent_path() != model_.folder;  // by the LoRA that it was opened with
    if (is_original() || is_lavin() || brought || tuned.json != config)
      io::write_json_atomic(folder / "config.json", tuned.json);
    if (!tuned.says_plan || fs::exists(model_.folder / "plan.json"))
      io::write_json_atomic(folder / "plan.json", plan::to_json(plan_));
  }

  void add_factor(WeightFile& file, const WeightName& name, const nn::Weight& factor, int64_t side) const {
    const bool is_a = name.kind == Kind::factor_a;
    const std::vector<int64_t> shape = is_a ? std::vector{factor.out(), side} : std::vector{side, factor.in()};
    file.make(concat(kPrefix, module_in(peft_, name), is_a ? ".lora_A.weight" : ".lora_B.weight"),
              {at::kFloat, with_unread_rows(name, shape), [factor] { return factor.widened(at::kFloat); }});
  }

  /// Embeddings and head of the base model may have rows that only transformers looks up.
  std::vector<int64_t> with_unread_rows(const WeightName& name, std::vector<int64_t> shape) const {
    const bool has_a_row_per_token = name.role == Role::embeddings || name.role == Role::head;
    if (!has_a_row_per_token || name.kind == Kind::factor_a) return shape;
    if (const io::TensorView* held = checkpoint_.find(name_in(base_, name.with(Kind::weight))))
      shape[0] = held->shape[0];
    return shape;
  }

  const Model& model_;
  const LoraShape& shape_;
  const plan::Plan& plan_;
  io::Checkpoint checkpoint_;  ///< Of the base model.
  Json json_;                  ///< config.json
  Layout base_, peft_;
  std::map<WeightName, const nn::Linear*> products_;  ///< With LoRA, by weight.
  std::set<std::string> modules_;                     ///< Every linear module.
  std::map<WeightName, TunedWeight> whole_;
};

}  // namespace

LoraCount write_lora(const Model& model, const LoraShape& shape, const plan::Plan& plan, const fs::path& folder) {
  require(!model.folder.empty(), Fault::bad_request, model.name,
          ": was not read from a folder, so no base model can be named");
  try {
    return LoraWriter(model, shape, plan).write(folder);
  } catch (const fs::filesystem_error& error) {
    fail(Fault::bad_file, folder.string(), ": the folder cannot be written: ", error.code().message());
  }
}

}  // namespace lithe::models
