#include "checkpoints/write/tuned_config.h"

#include <optional>
#include <utility>

#include "base/error.h"

namespace lithe::models {
namespace {

/// Replaces the keys of p-MoD.  -> whether they say the plan
bool say_routed_plan(const Model& model, const plan::Plan& plan, const ShownLayers& shown, Json& config) {
  Json own = Json::object();
  for (const auto& [key, value] : config.items())
    if (key.starts_with("mod_")) own[key] = value;
  for (const auto& [key, value] : own.items()) config.erase(key);
  const std::optional<Json> keys = folder_keys(plan, shown, own);
  if (keys) config.update(*keys);
  config["mod_bias_enabled"] = model.decoder.config.router_bias;
  if (!keys || config.value("model_type", "") != "llava_llama") return keys.has_value();
  config["model_type"] = "pmod_llava_llama";
  config["architectures"] = {"PmodLlavaLlamaForCausalLM"};
  return true;
}

}  // namespace

void say_shape_of_adapters(const Model& model, const ShownLayers& shown, Json& config) {
  using Numbers = std::pair<double, double>;
  std::optional<Numbers> said;
  for (const EasLayers* const layers : {&shown.decoder, &shown.tower}) {
    for (const auto& [layer, eas] : *layers) {
      for (const auto& shape : {eas.adapter, eas.pia}) {
        if (!shape) continue;
        const Numbers numbers{shape->scale, shape->temperature};
        require(said.value_or(numbers) == numbers, Fault::bad_request, model.name,
                ": its adapters differ in scale or temperature, and a folder has one of each for all adapters");
        said = numbers;
      }
    }
  }
  const AdapterShape published;
  if (!said || (*said == Numbers{published.scale, published.temperature} && !config.contains("eas"))) return;
  config["eas"] = {{"scale", said->first}, {"temperature", said->second}};
}

TunedConfig tuned_config(const Model& model, const plan::Plan& plan, const ShownLayers& shown, Json config) {
  say_shape_of_adapters(model, shown, config);
  const bool has_keys = model.family == "llava_original" && !shown.routers.empty();
  // Of a layer with attention and PIA, a LaVIN's tensors don't tell which one runs.
  const bool can_show = model.family != "lavin" && show_plan(plan, shown);
  const bool says = has_keys ? say_routed_plan(model, plan, shown, config) : can_show;
  return {std::move(config), says};
}

}  // namespace lithe::models
