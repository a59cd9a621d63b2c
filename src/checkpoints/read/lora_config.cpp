#include "checkpoints/read/lora_config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include "base/error.h"
#include "base/lower_case.h"

namespace lithe::models {
namespace {

constexpr int64_t kHighestRank = int64_t{1} << 16;
constexpr double kHighestAlpha = 1e6;
constexpr size_t kMostPatterns = 1024;

/// Keys that change what is computed; absent, null, false or empty they do nothing.
struct Unsupported {
  const char* key;
  const char* what;
};
constexpr std::array kUnsupported{
    Unsupported{"use_dora", "DoRA"},
    Unsupported{"fan_in_fan_out", "weights stored as [in, out]"},
    Unsupported{"lora_bias", "biases of LoRA's own"},
    Unsupported{"layer_replication", "replicated layers"},
    Unsupported{"alora_invocation_tokens", "LoRA that only some tokens switch on"},
    Unsupported{"use_qalora", "QALoRA"},
    Unsupported{"target_parameters", "LoRA on bare parameters"},
    Unsupported{"use_bdlora", "block-diagonal LoRA"},
    Unsupported{"arrow_config", "LoRA that is chosen by token"},
    Unsupported{"kasa_config", "KaSA"},
    Unsupported{"monteclora_config", "MonteCLoRA"},
    Unsupported{"trainable_token_indices", "single trained token rows"},
};

bool is_set(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  return !value.is_null() && !(value.is_structured() && value.empty());
}

void refuse_unsupported(const JsonView& json) {
  const std::string type = json.text("peft_type", "LORA");
  require(type == "LORA", Fault::bad_file, json.source(), ": 'peft_type' is '", type.substr(0, 40),
          "'; only LORA is supported");
  for (const Unsupported& entry : kUnsupported) {
    const bool set = json.has(entry.key) && is_set(json.json()[entry.key]);
    require(!set, Fault::bad_file, json.source(), ": '", entry.key, "' is set, and ", entry.what,
            " is not supported; merge the adapter with PEFT");
  }
  // These start from a changed base model, so that the factors alone do not say what was trained.
  constexpr std::array<std::string_view, 3> kHarmless{"gaussian", "eva", "orthogonal"};
  if (!json.has("init_lora_weights") || !json.json()["init_lora_weights"].is_string()) return;
  const std::string start = json.text("init_lora_weights");
  require(std::find(kHarmless.begin(), kHarmless.end(), start) != kHarmless.end(), Fault::bad_file, json.source(),
          ": 'init_lora_weights' is '", start.substr(0, 40),
          "', which changes the base model; save the adapter as plain LoRA, or merge it with PEFT");
}

/// A list of names; null is none.
std::vector<std::string> names_in(const JsonView& json, const char* key) {
  std::vector<std::string> names;
  if (!json.has(key)) return names;
  const Json& list = json.json()[key];
  require(list.is_array(), Fault::bad_file, json.source(), ": '", key, "' must be a list of module names");
  for (const Json& name : list) {
    require(name.is_string(), Fault::bad_file, json.source(), ": '", key, "' must be a list of module names, got ",
            name.dump(-1, ' ', true).substr(0, 40));
    names.push_back(name.get<std::string>());
  }
  return names;
}

std::string origin(const JsonView& json, const char* key) {
  return concat(json.source(), ": '", key, "'");
}

/// A list of names, or a regular expression.
ModuleNames module_names(const JsonView& json, const char* key) {
  if (!json.has(key) || !json.json()[key].is_string()) {
    const std::vector<std::string> names = names_in(json, key);
    return {{names.begin(), names.end()}, std::nullopt};
  }
  return {{}, text::Pattern(json.text(key), origin(json, key))};
}

/// PEFT's "all-linear", which it reads in any case.
bool is_all_linear(const JsonView& json) {
  return json.json()["target_modules"].is_string() && in_lower_case(json.text("target_modules")) == "all-linear";
}

std::set<int64_t> layer_numbers(const JsonView& json) {
  const char* const key = "layers_to_transform";
  std::set<int64_t> numbers;
  if (!json.has(key)) return numbers;
  const Json& value = json.json()[key];
  for (const Json& number : value.is_array() ? value : Json::array({value})) {
    require(number.is_number_integer(), Fault::bad_file, json.source(), ": '", key,
            "' must be the number of a layer or a list of numbers");
    numbers.insert(number.get<int64_t>());
  }
  return numbers;
}

/// Without a pattern the first number after two names counts ("model.layers.7.").
std::optional<AdaptedLayers> adapted_layers(const JsonView& json) {
  AdaptedLayers layers{.numbers = layer_numbers(json), .patterns = {}};
  if (layers.numbers.empty()) return std::nullopt;
  const char* const key = "layers_pattern";
  const char* const number = "\\.(?P<number>\\d+)\\.";
  std::vector<std::string> sources;
  if (json.has(key) && json.json()[key].is_string())
    sources = {json.text(key)};
  else
    sources = names_in(json, key);
  std::erase(sources, "");
  for (const std::string& source : sources)
    layers.patterns.emplace_back(source, origin(json, key), text::PatternFrame{"(?:|.*?\\.)", number});
  if (sources.empty()) layers.patterns.emplace_back("[^.]*", origin(json, key), text::PatternFrame{".*?\\.", number});
  return layers;
}

template <class T, class Read>
std::vector<std::pair<text::Pattern, T>> pattern_in(const JsonView& json, const char* key, const Read& read) {
  std::vector<std::pair<text::Pattern, T>> entries;
  if (!json.has(key)) return entries;
  const JsonView pattern = json.object(key);
  require(pattern.json().size() <= kMostPatterns, Fault::bad_file, json.source(), ": '", key, "' has ",
          pattern.json().size(), " patterns; at most ", kMostPatterns, " are read");
  for (const auto& [name, unused] : pattern.json().items()) {
    entries.emplace_back(text::Pattern(name, origin(json, key), {.before = "(?:.*\\.)?", .after = "$"}),
                         read(pattern, name.c_str()));
  }
  return entries;
}

int64_t rank_in(const JsonView& json, const char* key) {
  const int64_t rank = json.integer(key);
  require(rank >= 1 && rank <= kHighestRank, Fault::bad_file, json.source(), ": '", key, "' is ", rank,
          ", expected a rank from 1 to ", kHighestRank);
  return rank;
}

double alpha_in(const JsonView& json, const char* key) {
  const double alpha = json.number(key);
  require(std::abs(alpha) <= kHighestAlpha, Fault::bad_file, json.source(), ": '", key, "' is ", alpha,
          ", expected at most ", kHighestAlpha);
  return alpha;
}

/// What the first fitting entry says, else `otherwise`.
template <class T>
T first_fitting(const std::vector<std::pair<text::Pattern, T>>& entries, const std::string& module, T otherwise) {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first.matches(module); });
  return found == entries.end() ? otherwise : found->second;
}

}  // namespace

bool ModuleNames::hold(const std::string& module) const {
  if (whole) return whole->matches(module);
  if (ends.contains(module)) return true;
  const std::string_view name = module;
  for (size_t point = name.find('.'); point != name.npos; point = name.find('.', point + 1)) {
    if (ends.contains(name.substr(point + 1))) return true;
  }
  return false;
}

bool AdaptedLayers::hold(const std::string& module) const {
  for (const text::Pattern& pattern : patterns) {
    const std::optional<std::string> digits = pattern.number_in(module);
    if (!digits) continue;
    int64_t number = -1;
    std::from_chars(digits->data(), digits->data() + digits->size(), number);
    return numbers.contains(number);
  }
  return false;
}

LoraConfig LoraConfig::read(const JsonView& json) {
  refuse_unsupported(json);
  LoraConfig config;
  config.base = json.text("base_model_name_or_path", "");
  config.rank = rank_in(json, "r");
  config.alpha = alpha_in(json, "lora_alpha");
  config.rank_stabilised = json.boolean("use_rslora", false);
  config.ranks = pattern_in<int64_t>(json, "rank_pattern", rank_in);
  config.alphas = pattern_in<double>(json, "alpha_pattern", alpha_in);
  if (json.has("target_modules") && !is_all_linear(json)) {
    config.targets = module_names(json, "target_modules");
    if (!config.targets->whole) config.layers = adapted_layers(json);  // PEFT counts layers beside a list only
  }
  config.excluded = module_names(json, "exclude_modules");
  config.whole = names_in(json, "modules_to_save");
  config.ties_weights = json.boolean("ensure_weight_tying", false);
  return config;
}

int64_t LoraConfig::rank_of(const std::string& module) const {
  return first_fitting(ranks, module, rank);
}

double LoraConfig::scale_of(const std::string& module) const {
  const auto r = static_cast<double>(rank_of(module));
  return first_fitting(alphas, module, alpha) / (rank_stabilised ? std::sqrt(r) : r);
}

const char* LoraConfig::key_against(const std::string& module) const {
  if (excluded.hold(module)) return "exclude_modules";
  if (targets && !targets->hold(module)) return "target_modules";
  return layers && !layers->hold(module) ? "layers_to_transform" : nullptr;
}

bool LoraConfig::saves(const std::string& module) const {
  for (std::string around = module;; around.erase(around.rfind('.'))) {
    if (std::any_of(whole.begin(), whole.end(), [&](const std::string& end) { return around.ends_with(end); }))
      return true;
    if (around.find('.') == around.npos) return false;
  }
}

}  // namespace lithe::models
