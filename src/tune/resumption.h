#pragma once

#include <functional>
#include <string>

#include "tune/recipe.h"

namespace lithe::tune {

/// Calls `told` for each setting that is another one than in `before`, the settings that the run was begun with (empty:
/// it begins now).  -> the settings now, for a checkpoint
std::string compare_settings(const Recipe& recipe, const std::string& before,
                             const std::function<void(const std::string&)>& told);

}  // namespace lithe::tune
