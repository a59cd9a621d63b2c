#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "models/model.h"

// Whose rules prompts, token ids and pictures follow. A folder follows its layout's own, unless its config.json names
// the other's under "conventions", as a converted folder does (docs/checkpoints.md).
namespace lithe::models {

constexpr const char* kConventions = "conventions";

/// The object "conventions" with "of": `other`; absent where there is none. Throws Error{bad_file} where it names
/// something else.
std::optional<JsonView> read_conventions(const JsonView& config, const char* other);

/// LLaVA's own rules: a conversation by name, the slow tokenizer on the texts between pictures, alpha dropped,
/// "image_aspect_ratio", "mm_patch_merge_type", "max_num_patches". `model.preprocess` holds what
/// preprocessor_config.json says. Throws Error{bad_file}.
void follow_llava(const JsonView& keys, const std::string& conversation, Model& model);

/// transformers' rules: the folder's chat template, the whole prompt through tokenizer.json, its
/// preprocessor_config.json or processor_config.json. `next`: pictures become tiles, a map and newlines. A folder
/// without a template follows the conversation that config.json or its own name gives. Throws Error{bad_file}.
void follow_transformers(const JsonView& config, bool next, Model& model);

}  // namespace lithe::models
