#include "models/lora_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "base/error.h"

namespace lithe::models {
namespace {

constexpr int64_t kHighestRank = int64_t{1} << 16;
constexpr double kHighestAlpha = 1e6;

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

/// The key of a pattern as the end of a name: "^" and escaped points go; other regular expressions are refused.
std::string end_of(std::string key, const std::string& where) {
  if (key.starts_with('^')) key.erase(0, 1);
  std::string end;
  for (size_t i = 0; i < key.size(); ++i) {
    if (key[i] == '\\' && i + 1 < key.size() && key[i + 1] == '.') ++i;
    require(std::string_view("\\*+?[](){}|^$").find(key[i]) == std::string_view::npos, Fault::bad_file, where,
            ": the key '", key.substr(0, 80),
            "' is a regular expression; only names of modules, or their ends, are read");
    end += key[i];
  }
  return end;
}

template <class T, class Read>
std::vector<std::pair<std::string, T>> pattern_in(const JsonView& json, const char* key, const Read& read) {
  std::vector<std::pair<std::string, T>> entries;
  if (!json.has(key)) return entries;
  const JsonView pattern = json.object(key);
  for (const auto& [name, unused] : pattern.json().items())
    entries.emplace_back(end_of(name, pattern.source()), read(pattern, name.c_str()));
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
T first_fitting(const std::vector<std::pair<std::string, T>>& entries, const std::string& module, T otherwise) {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return ends_in(module, entry.first); });
  return found == entries.end() ? otherwise : found->second;
}

}  // namespace

bool ends_in(const std::string& module, const std::string& end) {
  if (!module.ends_with(end)) return false;
  return module.size() == end.size() || module[module.size() - end.size() - 1] == '.';
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
  // A text is "all-linear" or a regular expression over names: then the tensors alone say what was trained.
  if (json.has("target_modules") && !json.json()["target_modules"].is_string()) {
    const std::vector<std::string> names = names_in(json, "target_modules");
    config.targets.emplace(names.begin(), names.end());
  }
  config.whole = names_in(json, "modules_to_save");
  return config;
}

int64_t LoraConfig::rank_of(const std::string& module) const {
  return first_fitting(ranks, module, rank);
}

double LoraConfig::scale_of(const std::string& module) const {
  const auto r = static_cast<double>(rank_of(module));
  return first_fitting(alphas, module, alpha) / (rank_stabilised ? std::sqrt(r) : r);
}

bool LoraConfig::targets_module(const std::string& module) const {
  if (!targets || targets->contains(module)) return true;
  const std::string_view name = module;
  for (size_t point = name.find('.'); point != name.npos; point = name.find('.', point + 1)) {
    if (targets->contains(name.substr(point + 1))) return true;
  }
  return false;
}

}  // namespace lithe::models
