#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "models/generation_config.h"

namespace lithe::models {

/// generation_config.json if it is there. `eos_ids`, ascending: what ends an answer, which bad_words_ids cannot forbid.
/// Throws Error{bad_file}.
GenerationDefaults read_generation(const std::filesystem::path& folder, const std::vector<int64_t>& eos_ids);

/// The sentence that says what of generation_config.json is not obeyed; absent if there is nothing to say.
std::optional<std::string> not_obeyed_note(const std::filesystem::path& folder, const GenerationDefaults& defaults);

}  // namespace lithe::models
