#include "plan/methods.h"

#include <algorithm>
#include <functional>
#include <initializer_list>
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
  const bool shifts = is_shifted(name);
  const auto refuse = [&](const char* key) {
    require(!view.has(key), Fault::bad_file, view.source(), ": the schedule '", name, "' does not take '", key, "'");
  };
  refuse(shifts ? "share" : "shift");
  const double factor = view.number(shifts ? "shift" : "share", 0.5);
  if (leaves_bounds_open(name)) {
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

/// A layer by its key; `fallback` if the key is absent.
int64_t read_layer(const JsonView& view, const char* key, int64_t fallback) {
  return view.has(key) ? whole(view.json()[key], view.source() + ": '" + key + "'", 0, kMaxLayers) : fallback;
}

/// What a plan that drops once does if its keys say nothing.
struct DropOnce {
  const char* by;
  int64_t layer;
  double keep_share;
};

/// Vision rows that are dropped for good at the entry of one layer.
Plan drop_once(const JsonView& view, const DropOnce& usual) {
  Rule rule{.by = usual.by, .seed = read_seed(view), .others_return = false};
  read_keep(view, rule);
  if (!rule.keep_share && !rule.keep_count) rule.keep_share = usual.keep_share;
  return rule_in({read_layer(view, "layer", usual.layer)}, rule);
}

// FastV drops half after two layers. Papers that drop before the decoder begin with 192 of 576 tokens.
constexpr int64_t kAfterTwo = 2, kBeforeAll = 0;
constexpr double kHalf = 0.5, kThird = 0.334, kQuarter = 0.25;

auto drops(const DropOnce& usual) {
  return [usual](const JsonView& view, const ModelFacts&) { return drop_once(view, usual); };
}

/// Layers of a published model of 32 layers, at the same depths of this one; each but layer 0, and each once.
std::vector<int64_t> at_depths(std::initializer_list<int64_t> of_32, const ModelFacts& model) {
  std::vector<int64_t> layers;
  for (const int64_t published : of_32) {
    const int64_t layer = model.layers * published / 32;
    if (layer > 0 && (layers.empty() || layers.back() < layer)) layers.push_back(layer);
  }
  return layers;
}

/// Drops in stages: at the entry of every listed layer, by default at these depths of 32 layers.
Plan drop_in_stages(const JsonView& view, const ModelFacts& model, const char* by,
                    std::initializer_list<int64_t> of_32) {
  const Rule rule{.keep_share = view.number("keep_share", 0.5), .by = by, .others_return = false};
  return rule_in(view.has("layers") ? read_layers(view, model.layers, -1) : at_depths(of_32, model), rule);
}

/// PyramidDrop: by default after each quarter of the layers.
Plan pyramiddrop(const JsonView& view, const ModelFacts& model) {
  return drop_in_stages(view, model, "attention", {8, 16, 24});
}

/// V2Drop: by default half of the vision rows before layers 3 and 17, and all but one before layer 22.
Plan v2drop(const JsonView& view, const ModelFacts& model) {
  Plan plan = drop_in_stages(view, model, "variation", {3, 17, 22});
  if (plan.layers.empty()) return plan;
  Rule& last = plan.layers.back().rules.front();
  last.keep_share.reset();
  last.keep_count = 1;
  return plan;
}

/// SparseVLM's choice: 300, 200 and 110 of 576 vision rows stay after layers 2, 6 and 15.
Plan text_attention(const JsonView& view, const ModelFacts& model) {
  constexpr double kShares[] = {0.521, 0.667, 0.55};
  Plan plan = drop_in_stages(view, model, "text_attention", {3, 7, 16});
  if (view.has("layers") || view.has("keep_share")) return plan;
  for (std::size_t stage = 0; stage < plan.layers.size(); ++stage)
    plan.layers[stage].rules.front().keep_share = kShares[stage];
  return plan;
}

/// Vision rows leave before this layer.
Rule all_leave() {
  return {.keep_count = 0, .by = "uniform", .others_return = false};
}

/// VTW: no vision row from this layer on, by default from the middle.
Plan vtw(const JsonView& view, const ModelFacts& model) {
  return rule_in({read_layer(view, "layer", model.layers / 2)}, all_leave());
}

/// HiDrop's shape: vision rows wait until layer `enter`, are dropped in stages, and leave before layer `exit`.
Plan late_entry(const JsonView& view, const ModelFacts& model) {
  const int64_t enter = read_layer(view, "enter", model.layers / 4);
  const int64_t exit = read_layer(view, "exit", model.layers * 3 / 4);
  require(enter < exit, Fault::bad_file, view.source(), ": 'enter' is ", enter, " and 'exit' is ", exit,
          "; vision tokens enter before they leave");
  std::vector<int64_t> stages;
  if (view.has("layers")) {
    stages = read_layers(view, model.layers, -1);
  } else {
    for (int64_t layer = enter + 1; layer < exit && layer <= enter + 5; layer += 2) stages.push_back(layer);
  }
  const bool inside = stages.empty() || (stages.front() > enter && stages.back() < exit);
  require(inside, Fault::bad_file, view.source(), ": the layers of 'layers' must be after ", enter, " and before ",
          exit);
  Plan plan;
  for (int64_t layer = 0; layer < enter; ++layer)
    plan.layers.push_back({.layer = layer, .rules = {{.keep_count = 0, .by = "uniform"}}});
  const Rule stage{
      .keep_share = view.number("keep_share", 0.5), .by = short_text(view, "by", "attention"), .others_return = false};
  for (const int64_t layer : stages) plan.layers.push_back({.layer = layer, .rules = {stage}});
  plan.layers.push_back({.layer = exit, .rules = {all_leave()}});
  return plan;
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
  std::function<Plan(const JsonView&, const ModelFacts&)> expand;
};

const std::vector<Method>& methods() {
  static const std::vector<const char*> once{"layer", "keep_share", "keep_count"};
  static const std::vector<Method> kMethods{
      {"dense", {}, dense},
      {"p-mod",
       {"schedule", "shift", "untouched_above", "floor", "share", "divisor", "gate", "group", "by", "seed"},
       p_mod},
      {"eas", {"layers", "attention", "stream"}, eas},
      {"fastv", once, drops({"attention", kAfterTwo, kHalf})},
      {"random", {"layer", "keep_share", "keep_count", "seed"}, drops({"random", kAfterTwo, kHalf})},
      {"uniform", once, drops({"uniform", kAfterTwo, kHalf})},
      {"k-norm", once, drops({"key_norm", kAfterTwo, kHalf})},
      {"dart", once, drops({"duplication", kAfterTwo, kHalf})},
      {"divprune", once, drops({"diversity", kBeforeAll, kThird})},
      {"conditional-dpp", once, drops({"relevance", kBeforeAll, kThird})},
      {"class-attention", once, drops({"class_attention", kBeforeAll, kThird})},
      {"visionzip", {"keep_share"}, drops({"visionzip", kBeforeAll, kThird})},
      {"prumerge-plus", {"keep_share"}, drops({"prumerge", kBeforeAll, kQuarter})},
      {"pooled-picture", {"keep_share"}, drops({"pooled", kBeforeAll, kQuarter})},
      {"pyramiddrop", {"layers", "keep_share"}, pyramiddrop},
      {"v2drop", {"layers", "keep_share"}, v2drop},
      {"text-attention", {"layers", "keep_share"}, text_attention},
      {"vtw", {"layer"}, vtw},
      {"late-entry", {"enter", "exit", "layers", "keep_share", "by"}, late_entry},
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
  const bool skips_nothing = plan.layers.empty() && model.layers == 0 && std::string_view(method.name) != "dense";
  require(!skips_nothing, Fault::bad_request, source, ": ", method.name, " is for layers of a decoder, and the model '",
          model.name, "' has no decoder");
  plan.name = short_text(view, "name", method.name);
  return plan;
}

}  // namespace lithe::plan
