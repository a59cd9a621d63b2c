#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/pattern.h"

namespace lithe::models {

/// Names of modules: a list of names and of their ends, or one regular expression over whole names.
struct ModuleNames {
  std::set<std::string, std::less<>> ends;
  std::optional<text::Pattern> whole;

  bool hold(const std::string& module) const;
};

/// `layers_to_transform` and `layers_pattern`: the numbers of the layers that are adapted.
struct AdaptedLayers {
  std::set<int64_t> numbers;
  std::vector<text::Pattern> patterns;  ///< What comes before a layer's number; the first that fits counts.

  bool hold(const std::string& module) const;
};

/// adapter_config.json of a PEFT folder, as far as LoRA that was trained needs it. Modules are named and matched as
/// PEFT does it, patterns as Python's regular expressions.
struct LoraConfig {
  std::string base;  ///< base_model_name_or_path; empty if it is left out.
  int64_t rank = 0;
  double alpha = 0;
  bool rank_stabilised = false;  ///< alpha / sqrt(rank) instead of alpha / rank.
  /// rank_pattern and alpha_pattern, in the file's order: patterns of the ends of names; the first that fits counts.
  std::vector<std::pair<text::Pattern, int64_t>> ranks;
  std::vector<std::pair<text::Pattern, double>> alphas;
  std::optional<ModuleNames> targets;  ///< Absent: every linear layer.
  std::optional<AdaptedLayers> layers;
  ModuleNames excluded;
  std::vector<std::string> whole;  ///< modules_to_save
  bool ties_weights = false;       ///< ensure_weight_tying: a tied head stays tied to the trained embeddings.

  /// Throws Error{bad_file}, also for what changes the arithmetic and is not supported (DoRA, ..).
  static LoraConfig read(const JsonView& json);

  int64_t rank_of(const std::string& module) const;
  /// What B A is multiplied by for a module of this rank.
  double scale_of(const std::string& module) const;
  /// Why PEFT would not adapt the module: the key of the config that says so; null if it would.
  const char* key_against(const std::string& module) const;
  /// Whether `module` is trained whole, beside the base model's own: `modules_to_save` names it or a module around it.
  bool saves(const std::string& module) const;
};

}  // namespace lithe::models
