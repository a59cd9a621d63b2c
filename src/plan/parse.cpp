#include "plan/parse.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/suggestion.h"
#include "plan/builtin.h"
#include "plan/fields.h"
#include "plan/methods.h"
#include "plan/validate.h"

namespace lithe::plan {
namespace {

constexpr const char* kFormat = "lithe-plan/1";
constexpr std::size_t kMaxParts = 32;  ///< Parts of a combination, nested ones counted.
constexpr int kMaxDepth = 4;           ///< Combinations within combinations.
constexpr std::size_t kMaxNameBytes = 200;
constexpr std::size_t kMaxFileBytes = std::size_t{4} << 20;

bool read_switch(const Json& value, const std::string& what) {
  if (value == "on") return true;
  require(value == "off", Fault::bad_file, what, " must be \"on\" or \"off\"");
  return false;
}

void read_attention(const JsonView& view, LayerPlan& entry) {
  if (!view.has("attention")) return;
  const Json& value = view.json()["attention"];
  if (!value.is_object()) {
    entry.self_attention = read_switch(value, view.source() + ": 'attention'");
    return;
  }
  const JsonView kinds = object_with(value, view.source() + ": attention", {"self", "cross"});
  if (kinds.has("self")) entry.self_attention = read_switch(kinds.json()["self"], kinds.source() + ": 'self'");
  if (kinds.has("cross")) entry.cross_attention = read_switch(kinds.json()["cross"], kinds.source() + ": 'cross'");
}

/// A bare "layer", or "site": {"stream", "layer"}.
void read_site(const JsonView& view, LayerPlan& entry) {
  require(view.has("layer") != view.has("site"), Fault::bad_file, view.source(), ": expected either 'layer' or 'site'");
  const JsonView site =
      view.has("layer") ? view : object_with(view.json()["site"], view.source() + ": site", {"stream", "layer"});
  require(site.has("layer"), Fault::bad_file, site.source(), ": the key 'layer' is missing");
  entry.layer = whole(site.json()["layer"], site.source() + ": 'layer'", 0, kMaxLayers);
  if (view.has("site")) entry.stream = short_text(site, "stream", entry.stream);
}

Switches read_others(const JsonView& view) {
  Switches others{false, false, false, false};
  if (!view.has("others")) return others;
  const JsonView json =
      object_with(view.json()["others"], view.source() + ": others", {"query", "key_value", "cache", "feed_forward"});
  others.query = json.boolean("query", false);
  others.key_value = json.boolean("key_value", false);
  others.cache = json.boolean("cache", others.key_value);
  others.feed_forward = json.boolean("feed_forward", false);
  return others;
}

Rule read_rule(const Json& json, const std::string& source) {
  const JsonView view =
      object_with(json, source, {"group", "keep_share", "keep_count", "by", "seed", "gate", "others", "others_return"});
  require(view.has("group"), Fault::bad_file, source, ": the key 'group' is missing");
  Rule rule;
  rule.group = read_group(view, Group::vision);
  read_keep(view, rule);
  rule.seed = read_seed(view);
  rule.gate = read_gate(view, std::nullopt);
  rule.others = read_others(view);
  rule.others_return = view.boolean("others_return", true);
  // If all rows or none are kept, there is nothing to choose.
  const bool no_choice = rule.keep_count == 0 || rule.keep_share == 0.0 || rule.keep_share == 1.0;
  require(view.has("by") || no_choice, Fault::bad_file, source,
          ": the key 'by' is missing; it says how tokens are chosen");
  rule.by = short_text(view, "by", "uniform");
  return rule;
}

LayerPlan read_layer(const Json& json, const std::string& source) {
  const JsonView view = object_with(json, source, {"site", "layer", "attention", "rules"});
  LayerPlan entry;
  read_site(view, entry);
  read_attention(view, entry);
  if (!view.has("rules")) return entry;
  const Json& rules = view.json()["rules"];
  require(rules.is_array() && rules.size() <= kMaxRules, Fault::bad_file, source,
          ": 'rules' must be a list of at most ", kMaxRules, " rules");
  for (std::size_t i = 0; i < rules.size(); ++i)
    entry.rules.push_back(read_rule(rules[i], concat(source, ": rule ", i + 1)));
  return entry;
}

/// Reads plans inside plans, counting them.
class Reader {
 public:
  explicit Reader(const ModelFacts& model) : model_(model) {}

  Plan read(const Json& json, const std::string& source, int depth) {
    require(depth <= kMaxDepth, Fault::bad_file, source, ": plans are combined more than ", kMaxDepth,
            " levels deep; combine them in one list");
    require(++parts_ <= kMaxParts, Fault::bad_file, source, ": more than ", kMaxParts,
            " plans are combined; combine fewer");
    if (json.is_array()) return combine(json, source, depth);
    if (json.is_string()) return read(builtin_plan(json.get<std::string>(), source), source, depth + 1);
    const JsonView view(json, source);
    require(short_text(view, "format", kFormat) == kFormat, Fault::bad_file, source, ": the format is not ", kFormat,
            ", the only one that is read");
    if (view.has("method")) return expand_method(json, source, model_);
    if (view.has("combine")) {
      const JsonView outer = object_with(json, source, {"format", "name", "combine"});
      Plan plan = combine(json["combine"], source, depth);
      plan.name = short_text(outer, "name", plan.name);
      return plan;
    }
    return expanded(json, source);
  }

 private:
  static Json builtin_plan(const std::string& name, const std::string& source) {
    const std::optional<std::string> text = builtin_text(name);
    require(text.has_value(), Fault::bad_file, source, ": no built-in plan is called '", name.substr(0, 100),
            "'; `lithe plans` lists them");
    return parse_json(*text, "plan '" + name + "'");
  }

  Plan combine(const Json& list, const std::string& source, int depth) {
    require(list.is_array() && !list.empty(), Fault::bad_file, source, ": expected a list of plans to combine");
    std::map<SiteName, LayerPlan> sum;
    std::string name;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Plan part = read(list[i], concat(source, ": part ", i + 1), depth + 1);
      name += (name.empty() ? "" : "+") + part.name;
      for (const LayerPlan& entry : part.layers) add(sum, entry);
    }
    return plan_of(std::move(sum), name.size() <= kMaxNameBytes ? name : "combination");
  }

  static void add(std::map<SiteName, LayerPlan>& sum, const LayerPlan& entry) {
    const auto [place, is_new] = sum.try_emplace({entry.stream, entry.layer}, entry);
    if (is_new) return;
    LayerPlan& joined = place->second;
    joined.self_attention = joined.self_attention && entry.self_attention;
    joined.cross_attention = joined.cross_attention && entry.cross_attention;
    joined.rules.insert(joined.rules.end(), entry.rules.begin(), entry.rules.end());
  }

  static Plan plan_of(std::map<SiteName, LayerPlan> sites, const std::string& name) {
    Plan plan{.name = name};
    for (auto& [site, entry] : sites) plan.layers.push_back(std::move(entry));
    return plan;
  }

  static Plan expanded(const Json& json, const std::string& source) {
    const JsonView view = object_with(json, source, {"format", "name", "layers"});
    const Json* layers = view.has("layers") ? &json["layers"] : nullptr;
    require(layers != nullptr && layers->is_array() && layers->size() <= std::size_t(kMaxLayers), Fault::bad_file,
            source, ": expected 'method', 'combine', or 'layers' as a list of at most ", kMaxLayers, " entries");
    std::map<SiteName, LayerPlan> sites;
    for (std::size_t i = 0; i < layers->size(); ++i) {
      LayerPlan entry = read_layer((*layers)[i], concat(source, ": entry ", i + 1));
      const SiteName site{entry.stream, entry.layer};
      const bool is_new = sites.try_emplace(site, std::move(entry)).second;
      require(is_new, Fault::bad_file, source, ": entry ", i + 1, ": ", site.stream, " layer ", site.layer,
              " is listed twice");
    }
    return plan_of(std::move(sites), short_text(view, "name", sites.empty() ? "dense" : "plan"));
  }

  const ModelFacts& model_;
  std::size_t parts_ = 0;
};

std::string joined_names() {
  std::string names;
  for (const std::string& name : builtin_plan_names()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

/// What to give in place of a name that no plan has.
std::string instead_of(const std::string& name) {
  const std::string meant = closest_name(name, builtin_plan_names());
  return meant.empty() ? "the named plans are " + joined_names() : "did you mean " + meant + "?";
}

}  // namespace

Plan parse_plan(const Json& json, const std::string& source, const ModelFacts& model) {
  check(model);
  Plan plan = Reader(model).read(json, source, 0);
  validate(plan, model);
  return plan;
}

Plan load_plan(const std::string& plan, const ModelFacts& model) {
  if (const auto text = builtin_text(plan)) {
    const std::string source = "plan '" + plan + "'";
    return parse_plan(parse_json(*text, source), source, model);
  }
  const std::size_t first = plan.find_first_not_of(" \t\r\n");
  const bool is_text = first != std::string::npos && (plan[first] == '{' || plan[first] == '[');
  if (is_text) return parse_plan(parse_json(plan, "the plan"), "the plan", model);
  std::error_code code;
  require(std::filesystem::exists(plan, code), Fault::bad_request, "no plan or file is called '", plan, "'; ",
          instead_of(plan));
  require(std::filesystem::is_regular_file(plan, code), Fault::bad_request, "the plan '", plan,
          "' is not a regular file; give a JSON file or the name of a plan");
  return parse_plan(read_json_file(plan, kMaxFileBytes), plan, model);
}

}  // namespace lithe::plan
