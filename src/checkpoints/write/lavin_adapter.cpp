#include "checkpoints/write/lavin_adapter.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoints/read/lavin_folder.h"
#include "checkpoints/write/pmod_keys.h"
#include "checkpoints/write/tuned_config.h"
#include "checkpoints/write/tuned_weights.h"
#include "io/atomic_file.h"
#include "io/safetensors.h"
#include "io/torch_output.h"
#include "plan/parse.h"
#include "plan/validate.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

/// As published, if training on several GPUs put "module." before the names.
std::string published_name(const WeightName& name) {
  const std::string text = text_of(name), kind = text.substr(text.rfind('.'));
  if (name.part == Part::projector) return concat("module.adapter_proj.conv_", name.layer == 0 ? "A" : "B", kind);
  if (name.role == Role::modality) return "module.adapter_modality_embedding.weight";
  const std::string_view tower = "encoder.layers.";
  if (name.part == Part::tower) return "module.backbone.visual.transformer.resblocks." + text.substr(tower.size());
  return "module." + text;
}

/// Of a layer that holds an attention and a PIA, one adapter stays if the plan is final.
bool runs(const Model& model, const plan::Plan& plan, const WeightName& name) {
  if (name.part != Part::decoder || name.adapter == Adapter::none) return true;
  if (!eas_of(model.decoder.config.eas, name.layer).holds_both()) return true;
  const plan::LayerPlan* entry = plan.find("decoder", name.layer);
  return (name.adapter == Adapter::rep) == (!entry || entry->self_attention);
}

io::TensorView view_of(const TunedWeight& weight) {
  const auto values = std::make_shared<Tensor>(weight.made.make().detach().to(at::kCPU, at::kFloat).contiguous());
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(values->const_data_ptr()),
                                         static_cast<size_t>(values->nbytes()));
  return {io::Dtype::float32, weight.made.shape, bytes, values, {}};
}

void require_finite(const std::string& name, const io::TensorView& tensor, const Model& model) {
  const std::span<const float> values = tensor.values<float>();
  require(std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }), Fault::bad_file,
          model.name, ": the tuned weight ", name, " holds numbers that are not finite; lower the learning rate");
}

Json adapter_config(const Model& model, const LavinParts& parts, const std::string& file) {
  const auto whole = [](const fs::path& path) { return fs::absolute(path).lexically_normal().string(); };
  Json config = fs::exists(model.config_file) ? read_config_file(model.config_file) : Json::object();
  config["model_type"] = "lavin";
  config["llama"] = whole(parts.llama);
  if (!parts.tokenizer.empty()) config["tokenizer"] = whole(parts.tokenizer);
  config["clip"] = whole(parts.clip);
  config["adapter"] = file;
  config["gates_read_prompt"] = gates_read_prompt(model);
  return config;
}

}  // namespace

bool in_lavin_adapter(const WeightName& name) {
  return name.adapter != Adapter::none || name.part == Part::projector || name.role == Role::modality;
}

TunedCount write_lavin_adapter(const Model& model, const plan::Plan& plan, const fs::path& folder,
                               const TunedOptions& options) {
  plan::validate(plan, model.facts);
  const LavinFolder base = LavinFolder::open(model.folder);
  TunedCount count;
  std::vector<std::pair<std::string, io::TensorView>> tensors;
  for (const auto& [name, weight] : held_weights(model)) {
    const bool kept = in_lavin_adapter(name);
    require(kept || !weight.learned, Fault::bad_request, model.name, ": ", text_of(name),
            " learned, which LaVIN's adapter file has no place for; leave it out of `train`");
    if (!kept || (options.plan_is_final && !runs(model, plan, name))) continue;
    if (weight.is_new || weight.learned) ++(weight.is_new ? count.added : count.changed);
    tensors.emplace_back(published_name(name), view_of(weight));
    require_finite(tensors.back().first, tensors.back().second, model);
  }
  const std::string stem = concat("checkpoint-", options.last_epoch);
  io::make_folder(folder);
  io::write_safetensors(folder / (stem + ".safetensors"), tensors, {{"format", "pt"}});
  io::write_torch(folder / (stem + ".pth"), tensors);
  Json config = adapter_config(model, *base.parts(), stem + ".safetensors");
  say_shape_of_adapters(model, shown_layers(model), config);
  io::write_json_atomic(folder / "config.json", config);
  io::write_json_atomic(folder / "plan.json", plan::to_json(plan));
  return count;
}

}  // namespace lithe::models
