#include "checkpoints/write/pmod_keys.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numbers>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoints/read/llava_eas.h"
#include "plan/schedule.h"

namespace lithe::models {
namespace {

constexpr double kDivisor = 31;  // of public configs, whatever the depth
constexpr int kMostDecimals = 15;

using Shares = std::map<int64_t, double>;  ///< By layer.

double rounded(double value, int decimals) {
  const double scale = std::pow(10.0, decimals);
  return std::round(value * scale) / scale;
}

/// What falls with depth before the factor is added.
double fall(bool cosine, int64_t layer) {
  const double x = static_cast<double>(layer) / kDivisor;
  return cosine ? std::cos(x * std::numbers::pi) / 2 : 0.5 - x;
}

/// Of a number that is too long, "e", which no name of a schedule may hold.
std::string text_of(double value, std::optional<int> decimals = std::nullopt) {
  char text[64];
  const auto result = decimals ? std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, *decimals)
                               : std::to_chars(text, text + sizeof text, value);
  return result.ec == std::errc() ? std::string(text, result.ptr) : "e";
}

/// The shortest number with a point from `low` on and below `high`, as names of schedules hold it.
std::optional<std::string> short_number(double low, double high) {
  for (int decimals = 1; decimals <= kMostDecimals; ++decimals) {
    const double scale = std::pow(10.0, decimals);
    const double value = std::ceil(low * scale) / scale;
    if (value >= low && value < high && value >= 0) return text_of(value, decimals);
  }
  return std::nullopt;
}

/// The number as written in a name; absent if it needs an exponent.
std::optional<std::string> plain_number(double value, bool point) {
  std::string text = text_of(value);
  if (text.find('e') != std::string::npos) return std::nullopt;
  if (point && text.find('.') == std::string::npos) text += ".0";
  return text;
}

/// "shiftedcos_decay_MAX_MIN" for a factor, or nothing if no MAX separates the layers.
std::optional<std::string> decay_name(const Shares& shares, int64_t layers, bool cosine, double factor) {
  double highest_routed = 0, lowest_untouched = 1e9, floor = 1e9;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const double value = fall(cosine, layer) + factor;
    const auto share = shares.find(layer);
    if (share == shares.end()) {
      lowest_untouched = std::min(lowest_untouched, value);
    } else {
      highest_routed = std::max(highest_routed, value);
      floor = std::min(floor, share->second);
    }
  }
  const auto most = short_number(highest_routed, lowest_untouched), least = plain_number(floor, true);
  if (!most || !least) return std::nullopt;
  return concat(cosine ? "shiftedcos" : "shiftedlinear", "_decay_", *most, "_", *least);
}

/// Every schedule that might be meant, the plainest first: name and factor.
std::vector<std::pair<std::string, double>> candidates(const Shares& shares, int64_t layers) {
  const double first = shares.begin()->second;
  std::vector<std::pair<std::string, double>> found{
      {"interleave", first}, {"deep_all", first}, {"deep_all_include_last", first}};
  for (const bool cosine : {true, false}) {
    const auto highest = std::max_element(shares.begin(), shares.end(),
                                          [](const auto& a, const auto& b) { return a.second < b.second; });
    const double factor = highest->second - fall(cosine, highest->first);
    for (int decimals = 1; decimals <= kMostDecimals + 1; ++decimals) {
      const double tried = decimals > kMostDecimals ? factor : rounded(factor, decimals);
      if (const auto name = decay_name(shares, layers, cosine, tried)) found.emplace_back(*name, tried);
    }
  }
  return found;
}

std::optional<std::string> norm_name(const plan::Gate& gate) {
  const auto scale = plain_number(gate.scale, false), bias = plain_number(gate.bias, false);
  if (!scale || !bias) return std::nullopt;
  const char* norm = gate.norm == plan::WeightNorm::identity ? "none" : plan::to_string(gate.norm);
  return concat(norm, "_", *scale, "_", *bias);
}

const char* target_name(plan::Group group) {
  if (group == plan::Group::vision) return "vision_all";
  if (group == plan::Group::vision_high_res) return "vision_hr";
  return group == plan::Group::all ? "all" : nullptr;
}

/// The share of every layer, if the plan is one rule with another share in each.
std::optional<Shares> shares_of(const plan::Plan& plan) {
  Shares shares;
  for (const plan::LayerPlan& layer : plan.layers) {
    if (layer.stream != "decoder" || layer.rules.size() != 1 || !layer.rules[0].keep_share) return std::nullopt;
    shares[layer.layer] = *layer.rules[0].keep_share;
  }
  return shares;
}

void drop_dense(plan::Plan& plan) {
  std::erase_if(plan.layers, [](const plan::LayerPlan& entry) {
    return entry.rules.empty() && entry.self_attention && entry.cross_attention;
  });
}

}  // namespace

bool say_plan(const Json& keys, const plan::Plan& plan, int64_t layers) {
  Json config = keys;
  config["num_hidden_layers"] = layers;
  config.erase("mod_target_layer_indices");
  try {
    return plan::from_public_pmod_config(JsonView(config, "config.json")).layers == plan.layers;
  } catch (const Error&) {
    return false;
  }
}

std::optional<Json> published_keys(const plan::Plan& plan, int64_t layers) {
  const std::optional<Shares> shares = shares_of(plan);
  if (!shares || shares->empty()) return std::nullopt;
  const plan::Rule& rule = plan.layers.front().rules.front();
  const auto norm = rule.gate ? norm_name(*rule.gate) : std::nullopt;
  const char* target = target_name(rule.group);
  if (!norm || !target) return std::nullopt;
  for (const auto& [name, factor] : candidates(*shares, layers)) {
    Json keys = {{"mod_target_layers", name},
                 {"mod_router_factor", factor},
                 {"mod_weight_norm", *norm},
                 {"mod_target_token_type", target}};
    if (say_plan(keys, plan, layers)) return keys;
  }
  return std::nullopt;
}

ShownLayers shown_layers(const Model& model) {
  const DecoderConfig& decoder = model.decoder.config;
  return {decoder.layers, decoder.routers, decoder.eas, model.vision ? model.vision->tower.config.eas : EasLayers{}};
}

std::optional<Json> folder_keys(plan::Plan plan, const ShownLayers& shown, const Json& own) {
  drop_dense(plan);
  const std::vector<plan::LayerPlan> whole = plan.layers;
  for (plan::LayerPlan& entry : plan.layers) {
    const EasLayers& eas = entry.stream == "decoder" ? shown.decoder : shown.tower;
    if (eas_of(eas, entry.layer).off_by_default()) entry.self_attention = true;
  }
  drop_dense(plan);
  if (without_attention(plan, shown.decoder, shown.tower)->layers != whole) return std::nullopt;
  std::vector<int64_t> routed;
  for (const plan::LayerPlan& entry : plan.layers) routed.push_back(entry.layer);
  if (routed.empty() || routed != shown.routers) return std::nullopt;
  if (say_plan(own, plan, shown.layers)) return own;
  std::optional<Json> keys = published_keys(plan, shown.layers);
  if (keys) (*keys)["mod_target_layer_indices"] = routed;
  if (keys) (*keys)["mod_special_init"] = true;
  return keys;
}

bool show_plan(plan::Plan plan, const ShownLayers& shown) {
  drop_dense(plan);
  return shown.routers.empty() &&
         without_attention(std::nullopt, shown.decoder, shown.tower).value_or(plan::Plan{}).layers == plan.layers;
}

}  // namespace lithe::models
