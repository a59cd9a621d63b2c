#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "models/parts/decoder.h"
#include "models/parts/vision_tower.h"

namespace lithe::models {

/// An integer from 1 to `most`. Throws Error{bad_file}. What configs claim is bounded before anything of that size is
/// allocated.
int64_t size_in(const JsonView& config, const char* key, int64_t fallback, int64_t most);

/// A finite number from `low` to `high`. Throws Error{bad_file}.
double number_in(const JsonView& config, const char* key, double fallback, double low, double high);

/// "scale" of "eas", by which the result of an adapter is multiplied: more than 0 and at most 1000, as in recipes.
/// Throws Error{bad_file}.
double adapter_scale(const JsonView& eas, double fallback);

/// The model folder that a config in `folder` names: by a path from there or from the folder above, or by a hub id,
/// whose last part is looked for in both, and which is looked up in the hub's cache. Empty if it is nowhere.
std::filesystem::path named_folder(const std::filesystem::path& folder, const std::filesystem::path& named);

/// The last part of a path or hub id, which may end with a slash.
std::filesystem::path last_part(const std::filesystem::path& named);

/// The decoder of a config of transformers. `kind` is its model_type there (llama, mistral, qwen2), whose defaults
/// stand in for keys that are left out, as public configs leave most of them out. Whether the head is tied is left to
/// the weights (checkpoints/read/tied_head.h). `config` is text_config, or all of config.json in the original layout.
/// Throws Error{bad_file}.
DecoderConfig read_decoder_config(const JsonView& config, const std::string& kind);

/// A vision config of CLIP or SigLIP: of its own, or nested under "vision_config". `feature_layer` counts transformers'
/// hidden_states, negative from the end. Throws Error{bad_file}.
VisionTowerConfig read_tower_config(const JsonView& config, int64_t feature_layer);

/// "rope_parameters" (transformers 5) or "rope_theta" and "rope_scaling". Throws Error{bad_file} for scalings that are
/// not known.
ops::RopeConfig read_rope(const JsonView& config, int64_t head_dim, int64_t max_positions);

}  // namespace lithe::models
