// LLaVA with EAS (DoubtedSteam/EAS): LLaVA's own layout, adapters beside and in the place of attentions.
#include "models/llava_eas.h"

#include <algorithm>

#include "base/error.h"
#include "plan/facts.h"

namespace lithe::models {
namespace {

/// An adapter's numbers that no tensor shows; the defaults are those of every published setting.
AdapterShape published_shape(const JsonView& config) {
  AdapterShape shape;
  if (!config.has("eas")) return shape;
  const JsonView eas = config.object("eas");
  shape.scale = eas.number("scale", shape.scale);
  shape.temperature = eas.number("temperature", shape.temperature);
  require(shape.temperature > 0, Fault::bad_file, eas.source(), ": 'temperature' is ", shape.temperature,
          ", it must be more than 0");
  return shape;
}

/// The adapter under `name` ("model.layers.2.replaced_adapter."), absent where there is none.
std::optional<AdapterShape> adapter_at(const io::Checkpoint& checkpoint, const std::string& name,
                                       const AdapterShape& published) {
  const io::TensorView* down = checkpoint.find(name + "conv_A.weight");
  const io::TensorView* up = checkpoint.find(name + "conv_B.weight");
  if (!down && !up) return std::nullopt;
  require(down && up, Fault::bad_file, checkpoint.path().string(), ": of the adapter ", name, "* ",
          down ? "conv_B.weight" : "conv_A.weight", " is missing");
  const bool matrices = down->shape.size() >= 2 && up->shape.size() >= 2 && up->shape[1] > 0;
  AdapterShape shape = published;
  shape.rank = matrices ? down->shape[0] : 0;
  require(matrices && shape.rank > 0 && shape.rank % up->shape[1] == 0, Fault::bad_file, checkpoint.path().string(),
          ": the adapter ", name, "* has conv_A ", io::text_of(down->shape), " and conv_B ", io::text_of(up->shape),
          ", expected [rank, hidden] and [hidden, rank / groups]");
  shape.groups = shape.rank / up->shape[1];
  require(up->shape[0] % shape.groups == 0, Fault::bad_file, checkpoint.path().string(), ": the adapter ", name,
          "* has ", shape.groups, " groups, which do not divide ", up->shape[0], " rows of conv_B");
  shape.router_bias = checkpoint.contains(name + "expert_weights.bias");
  return shape;
}

/// The decoder layers in "fixed_sites".
std::vector<int64_t> declared_layers(const JsonView& config, int64_t layers) {
  std::vector<int64_t> declared;
  if (!config.has(kFixedSites)) return declared;
  const Json& sites = config.json()[kFixedSites];
  require(sites.is_array() && sites.size() <= static_cast<size_t>(layers), Fault::bad_file, config.source(), ": '",
          kFixedSites, "' must be a list of at most ", layers, " sites");
  for (const Json& entry : sites) {
    const JsonView site(entry, concat(config.source(), ": '", kFixedSites, "'"));
    const int64_t layer = site.integer("layer");
    require(site.text("stream", "decoder") == "decoder" && site.text("attention", "self") == "self" && layer >= 0 &&
                layer < layers,
            Fault::bad_file, site.source(), " names ", entry.dump().substr(0, 120),
            ", expected self-attentions of decoder layers 0 to ", layers - 1);
    declared.push_back(layer);
  }
  return declared;
}

}  // namespace

std::map<int64_t, EasLayer> read_eas(const JsonView& config, const io::Checkpoint& checkpoint, int64_t layers,
                                     const LayerPrefix& prefix) {
  const AdapterShape published = published_shape(config);
  std::map<int64_t, EasLayer> eas;
  for (const int64_t layer : declared_layers(config, layers)) eas[layer].attention = false;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const std::string name = prefix(layer);
    const auto pia = adapter_at(checkpoint, name + "replaced_adapter.", published);
    const bool declared = eas.contains(layer);
    const auto adapter = declared ? std::nullopt : adapter_at(checkpoint, name + "adapter_attn.", published);
    if (pia) {
      const bool gain = checkpoint.contains(name + "post_attention_layernorm.weight");
      eas[layer] = {.attention = false, .pia = pia, .gain = gain};
    } else if (adapter) {
      eas[layer].adapter = adapter;
    }
  }
  return eas;
}

bool takes_attention_out(const std::map<int64_t, EasLayer>& eas) {
  return std::any_of(eas.begin(), eas.end(), [](const auto& entry) { return !entry.second.attention; });
}

plan::Plan without_attention(std::optional<plan::Plan> plan, const std::map<int64_t, EasLayer>& eas) {
  plan::Plan result = plan.value_or(plan::Plan{});
  for (const auto& [layer, made] : eas) {
    if (made.attention) continue;
    const auto found = std::find_if(result.layers.begin(), result.layers.end(), [&](const plan::LayerPlan& entry) {
      return entry.stream == "decoder" && entry.layer == layer;
    });
    if (found != result.layers.end())
      found->self_attention = false;
    else
      result.layers.push_back({.layer = layer, .self_attention = false});
  }
  std::sort(result.layers.begin(), result.layers.end(), [](const plan::LayerPlan& a, const plan::LayerPlan& b) {
    return std::pair(a.stream, a.layer) < std::pair(b.stream, b.layer);
  });
  result.name = plan ? plan->name + "+eas" : "eas";
  return result;
}

}  // namespace lithe::models
