// LLaVA with EAS (DoubtedSteam/EAS): LLaVA's own layout, adapters before attentions and in their places.
#include "checkpoints/read/llava_eas.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "checkpoints/read/config.h"
#include "plan/facts.h"

namespace lithe::models {
namespace {

/// An adapter's numbers that no tensor shows; the defaults are those of every published setting.
AdapterShape published_shape(const JsonView& config) {
  AdapterShape shape;
  if (!config.has("eas")) return shape;
  const JsonView eas = config.object("eas");
  shape.scale = adapter_scale(eas, shape.scale);
  shape.temperature = eas.number("temperature", shape.temperature);
  require(shape.temperature > 0 && std::isfinite(shape.temperature), Fault::bad_file, eas.source(),
          ": 'temperature' is ", shape.temperature, ", it must be more than 0 and finite");
  return shape;
}

/// Of an adapter of a layer; absent if there is none.
std::optional<AdapterShape> adapter_at(const EasPart& part, const WeightName& name, const AdapterShape& published) {
  const io::TensorView* down = part.find(name.with(Role::shared));
  const io::TensorView* up = part.find(name.with(Role::path1));
  if (!down && !up) return std::nullopt;
  const std::string where =
      concat((down ? down : up)->file, ": the ", part.stream(), "'s adapter ", text_of(name), ".*");
  require(down && up, Fault::bad_file, where, " has no ", down ? "conv_B.weight" : "conv_A.weight");
  const bool matrices = down->shape.size() >= 2 && up->shape.size() >= 2 && up->shape[1] > 0;
  AdapterShape shape = published;
  shape.rank = matrices ? down->shape[0] : 0;
  require(matrices && shape.rank > 0 && shape.rank % up->shape[1] == 0, Fault::bad_file, where, " has conv_A ",
          io::text_of(down->shape), " and conv_B ", io::text_of(up->shape),
          ", expected [rank, hidden] and [hidden, rank / groups]");
  shape.groups = shape.rank / up->shape[1];
  require(up->shape[0] % shape.groups == 0, Fault::bad_file, where, " has ", shape.groups,
          " groups, which do not divide ", up->shape[0], " rows of conv_B");
  shape.router_bias = name.adapter == Adapter::pia || part.all_gates_have_bias ||
                      part.find(name.with(Role::adapter_gate).with(Kind::bias)) != nullptr;
  return shape;
}

/// A line of "fixed_sites". Throws Error{bad_file} if it cannot be a site of a decoder or a tower.
plan::SiteName site_of(const Json& entry, const std::string& source) {
  const JsonView site(entry, concat(source, ": '", kFixedSites, "'"));
  plan::SiteName name{site.text("stream", "decoder"), site.integer("layer")};
  const bool known = name.stream == "decoder" || name.stream == "vision_tower";
  require(known && site.text("attention", "self") == "self", Fault::bad_file, site.source(), " names ",
          entry.dump().substr(0, 120), ", expected self-attentions of the decoder or the vision tower");
  return name;
}

/// The layers of a stream in "fixed_sites".
std::vector<int64_t> declared_layers(const JsonView& config, const EasPart& part) {
  std::vector<int64_t> declared;
  if (!config.has(kFixedSites)) return declared;
  const Json& sites = config.json()[kFixedSites];
  require(sites.is_array() && sites.size() <= 2 * static_cast<size_t>(plan::kMaxLayers), Fault::bad_file,
          config.source(), ": '", kFixedSites, "' must be a list of sites, no longer than a model has layers");
  for (const Json& entry : sites) {
    const plan::SiteName site = site_of(entry, config.source());
    if (site.stream != part.stream()) continue;
    require(site.layer >= 0 && site.layer < part.layers, Fault::bad_file, config.source(), ": '", kFixedSites,
            "' names layer ", site.layer, " of the stream ", part.stream(), ", which has layers 0 to ",
            part.layers - 1);
    declared.push_back(site.layer);
  }
  return declared;
}

void turn_off(const std::string& stream, const EasLayers& eas, plan::Plan& plan) {
  for (const auto& [layer, made] : eas) {
    if (!made.off_by_default()) continue;
    const auto found = std::find_if(plan.layers.begin(), plan.layers.end(), [&](const plan::LayerPlan& entry) {
      return entry.stream == stream && entry.layer == layer;
    });
    if (found != plan.layers.end())
      found->self_attention = false;
    else
      plan.layers.push_back({.stream = stream, .layer = layer, .self_attention = false});
  }
}

bool turns_off_any(const EasLayers& eas) {
  return std::any_of(eas.begin(), eas.end(), [](const auto& entry) { return entry.second.off_by_default(); });
}

/// Whether a layer with a PIA has its attention too. A published tower has every attention, so one beside a PIA says
/// nothing there: the PIA replaces it.
bool keeps_attention(const EasPart& part, const WeightName& layer) {
  if (part.part == Part::tower) return false;
  constexpr std::array kProducts{Role::query, Role::key, Role::value, Role::output};
  return std::any_of(kProducts.begin(), kProducts.end(), [&](Role role) { return part.find(layer.with(role)); });
}

}  // namespace

EasPart decoder_part(const WeightLoader& loader, const io::Checkpoint& checkpoint, const Layout& layout,
                     int64_t layers) {
  return {Part::decoder, layers,
          [&](const WeightName& name) { return loader.find(checkpoint, name_in(layout, name)); }};
}

EasLayers read_eas(const JsonView& config, const EasPart& part) {
  const AdapterShape published = published_shape(config);
  EasLayers eas;
  for (const int64_t layer : declared_layers(config, part)) eas[layer].attention = false;
  for (int64_t layer = 0; layer < part.layers; ++layer) {
    const WeightName name{.part = part.part, .layer = layer};
    EasLayer made{.pia = adapter_at(part, name.with(Adapter::pia), published)};
    made.attention = !eas.contains(layer) && (!made.pia || keeps_attention(part, name));
    if (made.attention) made.adapter = adapter_at(part, name.with(Adapter::rep), published);
    made.gain = made.pia && (made.attention || part.find(name.with(Role::norm2)));
    if (made.pia || made.adapter) eas[layer] = made;
  }
  return eas;
}

std::optional<plan::Plan> without_attention(std::optional<plan::Plan> plan, const EasLayers& decoder,
                                            const EasLayers& tower) {
  if (!turns_off_any(decoder) && !turns_off_any(tower)) return plan;
  plan::Plan result = plan.value_or(plan::Plan{});
  turn_off("decoder", decoder, result);
  turn_off("vision_tower", tower, result);
  std::sort(result.layers.begin(), result.layers.end(), [](const plan::LayerPlan& a, const plan::LayerPlan& b) {
    return std::pair(a.stream, a.layer) < std::pair(b.stream, b.layer);
  });
  result.name = plan ? plan->name + "+eas" : "eas";
  return result;
}

}  // namespace lithe::models
