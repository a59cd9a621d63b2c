#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace lithe::models {

/// adapter_config.json of a PEFT folder, as far as LoRA that was trained needs it.
struct LoraConfig {
  std::string base;  ///< base_model_name_or_path; empty where it is left out.
  int64_t rank = 0;
  double alpha = 0;
  bool rank_stabilised = false;  ///< alpha / sqrt(rank) instead of alpha / rank.
  /// rank_pattern and alpha_pattern: ends of module names in the file's order; the first that fits counts.
  std::vector<std::pair<std::string, int64_t>> ranks;
  std::vector<std::pair<std::string, double>> alphas;
  /// Ends of names; absent: all of a kind, or a regular expression.
  std::optional<std::set<std::string, std::less<>>> targets;
  std::vector<std::string> whole;  ///< modules_to_save

  /// Throws Error{bad_file}, also for what changes the arithmetic and is not supported (DoRA, ..).
  static LoraConfig read(const JsonView& json);

  int64_t rank_of(const std::string& module) const;
  /// What B A is multiplied by for a module of this rank.
  double scale_of(const std::string& module) const;
  /// False where target_modules is a list and names neither the module nor an end of it.
  bool targets_module(const std::string& module) const;
};

/// `module` is `end`, or ends with "." and `end`.
bool ends_in(const std::string& module, const std::string& end);

}  // namespace lithe::models
