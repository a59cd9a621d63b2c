#pragma once

#include <string>

namespace lithe::models {

/// A published vision tower whose numbers are known without its folder: original LLaVA checkpoints name it and nothing
/// more.
struct KnownTower {
  const char* name;           ///< The last part of its hub id.
  const char* config;         ///< Its config.json, as far as it is read.
  const char* preprocessing;  ///< Its preprocessor_config.json.
};

/// Null when the name is not in the table.
const KnownTower* known_tower(const std::string& name);

}  // namespace lithe::models
