#include "tune/recipe.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "io/new_folder.h"
#include "plan/methods.h"
#include "plan/schedule.h"
#include "tune/method_keys.h"
#include "tune/recipe_keys.h"

namespace lithe::tune {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;

/// Absolute, through links, without a closing slash.
std::filesystem::path whole_path(const std::string& name) {
  std::error_code code;
  std::filesystem::path path = std::filesystem::weakly_canonical(std::filesystem::absolute(name), code);
  if (code) path = std::filesystem::absolute(name).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

template <class Value>
void put(Json& json, const char* key, const std::optional<Value>& value) {
  if (value) json[key] = *value;
}

Json plan_of_p_mod(const PModRecipe& p_mod) {
  Json json{{"method", "p-mod"}, {"schedule", p_mod.schedule}};
  put(json, "shift", p_mod.shift);
  put(json, "untouched_above", p_mod.untouched_above);
  put(json, "floor", p_mod.floor);
  put(json, "share", p_mod.share);
  put(json, "divisor", p_mod.divisor);
  json["group"] = p_mod.group;
  json["by"] = p_mod.by;
  if (p_mod.by == "random") json["seed"] = static_cast<uint64_t>(p_mod.seed);
  if (p_mod.by == "router") {
    const plan::Gate gate = plan::parse_weight_norm(p_mod.norm, "p_mod.norm");
    json["gate"] = {{"norm", plan::to_string(gate.norm)}, {"scale", gate.scale}, {"bias", gate.bias}};
  }
  return json;
}

/// What the keys of a recipe say about each other.
class Checks {
 public:
  Checks(const Recipe& recipe, const Reading& reading) : recipe_(recipe), reading_(reading) {}

  void run() const {
    check_required();
    check_steps();
    check_data();
    check_eas();
    check_p_mod();
    check_lora();
    check_dropout();
  }

 private:
  bool given(const char* key) const { return reading_.given.count(key) != 0; }

  /// Says the line of `key`, which was given.
  template <class... Parts>
  void need(bool holds, const char* key, const Parts&... parts) const {
    if (!holds) fail(Fault::bad_file, line_in(reading_.source, reading_.given.at(key)), parts...);
  }

  void exclude(const char* one, const char* other) const {
    if (given(one) && given(other)) need(false, other, one, " and ", other, " exclude each other; leave one out.");
  }

  void check_required() const {
    for (const char* key : {"model_name_or_path", "data", "output_dir"})
      require(given(key), Fault::bad_file, reading_.source, ": has no ", key, ", which every recipe needs.");
    need(!recipe_.data.empty(), "data", "data is empty; name at least one data set.");
    need(!io::holds(whole_path(recipe_.model_name_or_path), whole_path(recipe_.output_dir)), "output_dir",
         "output_dir is the folder of the model or lies in it; write to another place.");
  }

  void check_steps() const {
    exclude("max_steps", "num_train_epochs");
    if (recipe_.warmup_ratio > 0 && recipe_.warmup_steps > 0) exclude("warmup_ratio", "warmup_steps");
    if (recipe_.max_steps && recipe_.warmup_steps > 0)
      need(recipe_.warmup_steps <= *recipe_.max_steps, "warmup_steps", "warmup_steps is ", recipe_.warmup_steps,
           ", but max_steps is ", *recipe_.max_steps, "; the rate would never reach its height.");
    if (recipe_.group_by_length && recipe_.share_images) exclude("group_by_length", "share_images");
    if (recipe_.group_by_length && !recipe_.shuffle)
      need(false, "group_by_length", "group_by_length orders the samples itself, so shuffle can't be false.");
  }

  void check_data() const {
    for (std::size_t i = 0; i < recipe_.eval_data.size(); ++i) {
      if (recipe_.eval_data[i].weight == 1) continue;
      const std::string in_list = concat("eval_data[", i + 1, "].weight");
      const char* const key = given(in_list.c_str()) ? in_list.c_str() : "eval_data.weight";
      need(false, key, key, " has no use: every sample is evaluated once; leave it out.");
    }
    if (!recipe_.eval_data.empty()) return;
    for (const char* key : {"eval_steps", "metric_for_best_model"})
      if (given(key) && (key != std::string_view("eval_steps") || recipe_.eval_steps > 0))
        need(false, key, key, " needs eval_data; name what is to be evaluated.");
  }

  void check_eas() const {
    if (!recipe_.eas) return;
    const EasRecipe& eas = *recipe_.eas;
    need(given("eas.skip"), "eas", "eas has no skip; list the layers, or say how many the search is to find.");
    need(!given("eas.search") || eas.skip_count.has_value(), given("eas.search") ? "eas.search" : "eas",
         "eas.skip lists the layers, so there is nothing to search; give a number there, or leave search out.");
    if (recipe_.share_images)
      need(false, "share_images", "share_images can't be used with eas: its adapters see the whole prompt.");
    for (const auto& [name, width] : {std::pair("rep_dim", eas.rep_dim), std::pair("pia_dim", eas.pia_dim)})
      need(width % eas.groups == 0, "eas", "eas.", name, " is ", width, ", which its ", eas.groups,
           " groups don't divide.");
    const EasSearchRecipe& search = eas.search;
    if (search.steps && search.warmup_steps)
      need(*search.warmup_steps < *search.steps, "eas.search.warmup_steps", "eas.search.warmup_steps is ",
           *search.warmup_steps, " of ", *search.steps, " steps; the scores would never be updated.");
  }

  void check_p_mod() const {
    if (!recipe_.p_mod) return;
    const PModRecipe& p_mod = *recipe_.p_mod;
    const bool routed = p_mod.by == "router";
    if (!routed && p_mod.router_lr)
      need(false, "p_mod.router_lr", "p_mod.router_lr has no routers to learn, as by is ", p_mod.by, ".");
    if (!routed && p_mod.norm != PModRecipe().norm)
      need(false, "p_mod.norm", "p_mod.norm has no router to weigh, as by is ", p_mod.by, ".");
    if (p_mod.by != "random" && p_mod.seed != 0)
      need(false, "p_mod.seed", "p_mod.seed has no use, as by is ", p_mod.by, "; it is for random.");
    // Any depth will do to see whether the schedule takes these keys.
    plan::expand_method(plan_of_p_mod(p_mod), line_in(reading_.source, reading_.given.at("p_mod")) + "p_mod",
                        {.layers = 32});
  }

  /// PEFT takes the word for every product only if it stands alone, and in a list for a name that fits nothing.
  void check_lora() const {
    if (!recipe_.lora) return;
    check_adapter(recipe_.lora->adapter_name_or_path);
    if (recipe_.lora->target_modules.size() < 2) return;
    const std::vector<std::string>& targets = recipe_.lora->target_modules;
    need(std::find(targets.begin(), targets.end(), "all-linear") == targets.end(), "lora.target_modules",
         "lora.target_modules has all-linear beside other names; it means every product of a layer, so let it stand ",
         "alone.");
  }

  void check_adapter(const std::string& adapter) const {
    if (adapter.empty()) return;
    need(!io::holds(whole_path(adapter), whole_path(recipe_.output_dir)), "output_dir",
         "output_dir is the folder of lora.adapter_name_or_path or lies in it; write to another place.");
    for (const char* const key : kOfAdapter) {
      const std::string name = concat("lora.", key);
      if (given(name.c_str()))
        need(false, name.c_str(), name, " is what lora.adapter_name_or_path says itself; leave it out.");
    }
  }

  void check_dropout() const {
    if (!recipe_.eas || !recipe_.eas->search.evaluate_with_dropout) return;
    const bool drops = recipe_.eas->dropout > 0 || (recipe_.lora && recipe_.lora->lora_dropout > 0);
    need(drops, "eas.search.evaluate_with_dropout", "eas.search.evaluate_with_dropout has no dropout to keep on; give ",
         "eas.dropout, or leave it out.");
  }

  const Recipe& recipe_;
  const Reading& reading_;
};

}  // namespace

Recipe parse_recipe(std::string_view text, const std::string& source) {
  const Yaml yaml = parse_yaml(text, source);
  Reading reading{.source = source, .all = recipe_help()};
  Recipe recipe;
  read_block(recipe, yaml, recipe_keys(), {.reading = &reading});
  Checks(recipe, reading).run();
  return recipe;
}

Recipe read_recipe(const std::filesystem::path& path) {
  Recipe recipe = parse_recipe(read_regular_file(path, kMaxFileBytes), path.string());
  recipe.file = path;
  return recipe;
}

Json settings_of(const Recipe& recipe) {
  return shown(recipe, recipe_keys());
}

Json plan_of(const Recipe& recipe, const std::vector<int64_t>& skipped) {
  Json parts = Json::array();
  if (recipe.p_mod) parts.push_back(plan_of_p_mod(*recipe.p_mod));
  const std::vector<int64_t>& layers = skipped.empty() && recipe.eas ? recipe.eas->skip_layers : skipped;
  if (!layers.empty()) parts.push_back({{"method", "eas"}, {"layers", layers}});
  if (parts.empty()) return nullptr;
  return parts.size() == 1 ? parts[0] : Json{{"combine", parts}};
}

}  // namespace lithe::tune
