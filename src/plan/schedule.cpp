#include "plan/schedule.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>
#include <string_view>

#include "base/error.h"

namespace lithe::plan {
namespace {

constexpr std::size_t kMaxNameBytes = 100;

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// A number in digits, with or without a decimal point; `need_point` requires the point, which needs digits on both
/// sides.
std::optional<double> plain_number(std::string_view text, bool need_point) {
  const std::size_t point = text.find('.');
  const bool shaped = point == std::string_view::npos
                          ? !need_point && all_digits(text)
                          : all_digits(text.substr(0, point)) && all_digits(text.substr(point + 1));
  if (!shaped) return std::nullopt;
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc{} || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Cuts "_NUMBER" off the end of `text`.
std::optional<double> cut_number(std::string_view& text, bool need_point, bool may_be_negative) {
  const std::size_t underscore = text.rfind('_');
  if (underscore == std::string_view::npos) return std::nullopt;
  std::string_view number = text.substr(underscore + 1);
  const bool negative = may_be_negative && number.starts_with('-');
  if (negative) number.remove_prefix(1);
  const auto value = plain_number(number, need_point);
  if (value) text = text.substr(0, underscore);
  return value && negative ? std::optional(-*value) : value;
}

double shifted(const Schedule& schedule, int64_t layer) {
  const auto l = static_cast<double>(layer);
  const auto divisor = static_cast<double>(schedule.divisor);
  if (schedule.decay == Decay::shifted_cos) return std::cos(l * std::numbers::pi / divisor) / 2 + schedule.factor;
  return (-l / divisor + 0.5) + schedule.factor;
}

Group target_group(const JsonView& config) {
  const std::string target = config.text("mod_target_token_type");
  if (target == "vision_all") return Group::vision;
  if (target == "vision_hr") return Group::vision_high_res;
  if (target == "all") return Group::all;
  fail(Fault::bad_file, config.source(), ": mod_target_token_type '", target,
       "' is not known; expected vision_all, vision_hr or all");
}

/// The published code saves the layers that it touched; a config that disagrees with its own schedule was edited.
void check_indices(const JsonView& config, const Plan& plan) {
  if (!config.has("mod_target_layer_indices")) return;
  const Json& listed = config.json()["mod_target_layer_indices"];
  bool same = listed.is_array() && listed.size() == plan.layers.size();
  for (std::size_t i = 0; same && i < listed.size(); ++i) same = listed[i] == plan.layers[i].layer;
  require(same, Fault::bad_file, config.source(), ": mod_target_layer_indices does not list the ", plan.layers.size(),
          " layers that mod_target_layers gives; correct one of them");
}

}  // namespace

bool is_shifted(const std::string& name) {
  return name.starts_with("shifted");
}

bool leaves_bounds_open(const std::string& name) {
  return name == "shiftedcos" || name == "shiftedlinear";
}

Schedule parse_schedule(const std::string& name, double factor, int64_t divisor, const std::string& source) {
  Schedule schedule{.factor = factor, .divisor = std::max<int64_t>(divisor, 1)};
  if (name == "interleave" || name == "deep_all" || name == "deep_all_include_last") {
    schedule.decay = name == "interleave" ? Decay::interleave
                     : name == "deep_all" ? Decay::deep_all
                                          : Decay::deep_all_include_last;
    return schedule;
  }
  std::string_view rest = name;
  if (name.size() <= kMaxNameBytes) {
    const auto floor = cut_number(rest, true, false);
    const auto untouched_above = cut_number(rest, true, false);
    if (floor && untouched_above && (rest == "shiftedcos_decay" || rest == "shiftedlinear_decay")) {
      schedule.decay = rest == "shiftedcos_decay" ? Decay::shifted_cos : Decay::shifted_linear;
      schedule.untouched_above = *untouched_above;
      schedule.floor = *floor;
      return schedule;
    }
  }
  fail(Fault::bad_file, source, ": the schedule '", name.substr(0, kMaxNameBytes),
       "' is not known; expected shiftedcos_decay_MAX_MIN, shiftedlinear_decay_MAX_MIN (as 0.85), interleave, deep_all "
       "or "
       "deep_all_include_last");
}

std::vector<std::optional<double>> shares(const Schedule& schedule, int64_t layers) {
  std::vector<std::optional<double>> result(static_cast<std::size_t>(std::max<int64_t>(layers, 0)));
  for (int64_t layer = 0; layer < layers; ++layer) {
    std::optional<double>& share = result[static_cast<std::size_t>(layer)];
    switch (schedule.decay) {
      case Decay::shifted_cos:
      case Decay::shifted_linear: {
        const double value = shifted(schedule, layer);
        if (value <= schedule.untouched_above) share = std::max(value, schedule.floor);
        break;
      }
      case Decay::interleave:
        if (layer % 2 == 1) share = schedule.factor;
        break;
      case Decay::deep_all:
        if (layer >= 2 && layer <= layers - 2) share = schedule.factor;
        break;
      case Decay::deep_all_include_last:
        if (layer >= 2) share = schedule.factor;
        break;
    }
  }
  return result;
}

Gate parse_weight_norm(const std::string& name, const std::string& source) {
  constexpr std::array<std::pair<std::string_view, WeightNorm>, 4> kNorms{{{"tanh", WeightNorm::tanh},
                                                                           {"softmax", WeightNorm::softmax},
                                                                           {"sigmoid", WeightNorm::sigmoid},
                                                                           {"none", WeightNorm::identity}}};
  // A bare name means scale 1 and bias 1.
  Gate gate{.norm = WeightNorm::tanh, .scale = 1.0, .bias = 1.0};
  std::string_view rest = std::string_view(name).substr(0, kMaxNameBytes);
  std::string_view cut = rest;
  const auto bias = cut_number(cut, false, true);
  const auto scale = bias ? cut_number(cut, false, false) : std::nullopt;
  if (bias && scale) {
    gate.scale = *scale;
    gate.bias = *bias;
    rest = cut;
  }
  for (const auto& [norm_name, norm] : kNorms) {
    if (rest != norm_name) continue;
    gate.norm = norm;
    return gate;
  }
  fail(Fault::bad_file, source, ": the weight norm '", name.substr(0, kMaxNameBytes),
       "' is not known; expected tanh, softmax, sigmoid or none, alone or as tanh_SCALE_BIAS");
}

bool is_public_pmod(const JsonView& config) {
  return config.has("mod_target_layers");
}

Plan from_public_pmod_config(const JsonView& config) {
  constexpr int64_t kPublishedDivisor = 31;
  const int64_t layers = config.integer("num_hidden_layers");
  require(layers > 0 && layers <= kMaxLayers, Fault::bad_file, config.source(), ": num_hidden_layers is ", layers,
          ", expected 1 to ", kMaxLayers);
  const Schedule schedule = parse_schedule(config.text("mod_target_layers"), config.number("mod_router_factor"),
                                           kPublishedDivisor, config.source());
  Rule rule;
  rule.group = target_group(config);
  rule.gate = parse_weight_norm(config.text("mod_weight_norm"), config.source());
  Plan plan = plan_of_schedule(schedule, layers, rule);
  check_indices(config, plan);
  return plan;
}

Plan plan_of_schedule(const Schedule& schedule, int64_t layers, Rule rule) {
  Plan plan{.name = "p-mod"};
  const auto kept = shares(schedule, layers);
  for (int64_t layer = 0; layer < layers; ++layer) {
    rule.keep_share = kept[static_cast<std::size_t>(layer)];
    if (rule.keep_share) plan.layers.push_back({.layer = layer, .rules = {rule}});
  }
  return plan;
}

}  // namespace lithe::plan
