#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "tune/ranks.h"
#include "tune/recipe.h"
#include "tune/training_state.h"

namespace lithe::tune {

/// The checkpoint of the tuning that a run goes on from; absent: the tuning begins. Throws Error{bad_request} if
/// output_dir holds what this run would spoil.
std::optional<std::filesystem::path> checkpoint_to_resume(const Recipe& recipe);

/// Calls `told` for each setting that is another one than in `before`, the settings that the run was begun with (empty:
/// it begins now). How many samples a process takes at a time is not among them.  -> the settings now, for a checkpoint
std::string compare_settings(const Recipe& recipe, const std::string& before,
                             const std::function<void(const std::string&)>& told);

/// Throws Error{bad_file} on every rank if they do not begin at the same point, with the same recipe and as many
/// records: they would wait for each other without end, or learn different things.
void require_alike(const Ranks& ranks, const Recipe& recipe, const RunPoint& point, int64_t records);

}  // namespace lithe::tune
