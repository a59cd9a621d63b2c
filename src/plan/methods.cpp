#include "plan/methods.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "plan/fields.h"
#include "plan/schedule.h"

namespace lithe::plan {
namespace {

/// `rule` alone in every one of `layers`.
Plan rule_in(const std::vector<int64_t>& layers, const Rule& rule) {
  Plan plan;
  for (const int64_t layer : layers) plan.layers.push_back({.layer = layer, .rules = {rule}});
  return plan;
}

Plan dense(const JsonView&, const ModelFacts&) {
  return {};
}

/// The schedule's name and numbers: {"schedule": "shiftedcos", "shift", "untouched_above", "floor"}, {"schedule":
/// "interleave", "share"}, or a published name that holds MAX and MIN.
Schedule read_schedule(const JsonView& view, int64_t layers) {
  const int64_t divisor = view.has("divisor")
                              ? whole(view.json()["divisor"], view.source() + ": 'divisor'", 1, kMaxLayers)
                              : std::max<int64_t>(layers - 1, 1);
  const std::string name = short_text(view, "schedule", "shiftedcos");
  const bool shifts = name.starts_with("shifted");
  const auto refuse = [&](const char* key) {
    require(!view.has(key), Fault::bad_file, view.source(), ": the schedule '", name, "' does not take '", key, "'");
  };
  refuse(shifts ? "share" : "shift");
  const double factor = view.number(shifts ? "shift" : "share", 0.5);
  if (name == "shiftedcos" || name == "shiftedlinear") {
    return {.decay = name == "shiftedcos" ? Decay::shifted_cos : Decay::shifted_linear,
            .factor = factor,
            .untouched_above = view.number("untouched_above", 0.85),
            .floor = view.number("floor", 0.15),
            .divisor = divisor};
  }
  refuse("untouched_above");
  refuse("floor");
  return parse_schedule(name, factor, divisor, view.source());
}

Plan p_mod(const JsonView& view, const ModelFacts& model) {
  Rule rule;
  rule.group = read_group(view, Group::vision);
  rule.by = short_text(view, "by", "router");
  rule.seed = read_seed(view);
  rule.gate = read_gate(view, rule.by == "router" ? std::optional(Gate{}) : std::nullopt);
  return plan_of_schedule(read_schedule(view, model.layers), model.layers, rule);
}

Plan eas(const JsonView& view, const ModelFacts& model) {
  const std::string attention = short_text(view, "attention", "self");
  require(attention == "self" || attention == "cross", Fault::bad_file, view.source(), ": the attention '", attention,
          "' is not known; expected self or cross");
  const std::string stream = short_text(view, "stream", "decoder");
  Plan plan;
  for (const int64_t layer : read_layers(view, model.layers_of(stream), -1)) {
    plan.layers.push_back({.stream = stream,
                           .layer = layer,
                           .self_attention = attention != "self",
                           .cross_attention = attention != "cross"});
  }
  return plan;
}

/// Vision rows that are dropped for good at the entry of one layer: FastV, and its controls.
Plan drop_once(const JsonView& view, const char* by) {
  constexpr int64_t kFastvLayer = 2;
  Rule rule{.by = by, .seed = read_seed(view), .others_return = false};
  read_keep(view, rule);
  if (!rule.keep_share && !rule.keep_count) rule.keep_share = 0.5;
  const int64_t layer =
      view.has("layer") ? whole(view.json()["layer"], view.source() + ": 'layer'", 0, kMaxLayers) : kFastvLayer;
  return rule_in({layer}, rule);
}

Plan fastv(const JsonView& view, const ModelFacts&) {
  return drop_once(view, "attention");
}
Plan random(const JsonView& view, const ModelFacts&) {
  return drop_once(view, "random");
}
Plan uniform(const JsonView& view, const ModelFacts&) {
  return drop_once(view, "uniform");
}

/// Drops in stages: at the entry of every listed layer, by default after each quarter of the layers.
Plan pyramiddrop(const JsonView& view, const ModelFacts& model) {
  Rule rule{.keep_share = view.number("keep_share", 0.5), .by = "attention", .others_return = false};
  std::vector<int64_t> stages;
  if (view.has("layers")) {
    stages = read_layers(view, model.layers, -1);
  } else {
    for (const int64_t quarter : {1, 2, 3}) {
      const int64_t layer = model.layers * quarter / 4;
      if (layer > 0 && (stages.empty() || stages.back() < layer)) stages.push_back(layer);
    }
  }
  return rule_in(stages, rule);
}

/// No vision row is chosen; all of them run `others`.
Plan vision_runs_only(const std::vector<int64_t>& layers, const Switches& others) {
  return rule_in(layers, {.keep_share = 0.0, .by = "uniform", .others = others});
}

Plan shortv(const JsonView& view, const ModelFacts& model) {
  // The paper freezes vision rows in 60 % of the layers; by default the deepest.
  const auto layers = read_layers(view, model.layers, model.layers - model.layers * 6 / 10);
  return vision_runs_only(layers, {.query = false, .key_value = true, .cache = true, .feed_forward = false});
}

Plan vision_attention_skip(const JsonView& view, const ModelFacts& model) {
  const auto layers = read_layers(view, model.layers, model.layers / 2);
  return vision_runs_only(layers, {.query = false, .key_value = true, .cache = true, .feed_forward = true});
}

Plan kv_compression(const JsonView& view, const ModelFacts& model) {
  Rule rule{.by = short_text(view, "by", "attention"), .seed = read_seed(view)};
  rule.others = {.query = true, .key_value = true, .cache = false, .feed_forward = true};
  read_keep(view, rule);
  if (!rule.keep_share && !rule.keep_count) rule.keep_share = 0.5;
  // The selector looks at an attention that ran before, so the first layer cannot be compressed by it.
  return rule_in(read_layers(view, model.layers, std::min<int64_t>(1, model.layers)), rule);
}

struct Method {
  const char* name;
  std::vector<const char*> keys;  ///< Besides method, name and format.
  Plan (*expand)(const JsonView&, const ModelFacts&);
};

const std::vector<Method>& methods() {
  static const std::vector<Method> kMethods{
      {"dense", {}, dense},
      {"p-mod",
       {"schedule", "shift", "untouched_above", "floor", "share", "divisor", "gate", "group", "by", "seed"},
       p_mod},
      {"eas", {"layers", "attention", "stream"}, eas},
      {"fastv", {"layer", "keep_share", "keep_count"}, fastv},
      {"random", {"layer", "keep_share", "keep_count", "seed"}, random},
      {"uniform", {"layer", "keep_share", "keep_count"}, uniform},
      {"pyramiddrop", {"layers", "keep_share"}, pyramiddrop},
      {"shortv", {"layers", "from"}, shortv},
      {"vision-attention-skip", {"layers", "from"}, vision_attention_skip},
      {"kv-compression", {"layers", "from", "keep_share", "keep_count", "by", "seed"}, kv_compression},
  };
  return kMethods;
}

const Method& method_named(const std::string& name, const std::string& source) {
  std::string known;
  for (const Method& method : methods()) {
    if (name == method.name) return method;
    known += (known.empty() ? "" : ", ") + std::string(method.name);
  }
  fail(Fault::bad_file, source, ": the method '", name, "' is not known; expected ", known);
}

}  // namespace

Plan expand_method(const Json& shorthand, const std::string& source, const ModelFacts& model) {
  const Method& method = method_named(short_text(JsonView(shorthand, source), "method", ""), source);
  std::vector<const char*> keys{"format", "name", "method"};
  keys.insert(keys.end(), method.keys.begin(), method.keys.end());
  const JsonView view = object_with(shorthand, concat(source, ": ", method.name), keys);
  Plan plan = method.expand(view, model);
  plan.name = short_text(view, "name", method.name);
  return plan;
}

}  // namespace lithe::plan
