#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"

namespace lithe::serve {

/// A prompt that goes through no chat template: a text, or its tokens.
using RawPrompt = std::variant<std::string, std::vector<int64_t>>;

/// A prompt, or a list of at most `most`. Tokens are not looked up in a vocabulary. Throws Refusal.
std::vector<RawPrompt> read_raw_prompts(const Json& json, const std::string& field, int64_t most);

/// A list of whole numbers from 0 on. Throws Refusal.
std::vector<int64_t> read_token_ids(const Json& json, const std::string& field);

}  // namespace lithe::serve
