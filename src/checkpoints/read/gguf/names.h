#pragma once

#include <string>

#include "models/parts/weight_name.h"

namespace lithe::models {

/// What llama.cpp calls a weight of a decoder, a tower, a projector, or the newline row: "blk.0.attn_q.weight",
/// "v.blk.0.ffn_up.bias", "mm.2.weight". `swapped`: the tower's feed-forward layers have each other's names.
std::string gguf_name(const WeightName& name, bool swapped = false);

}  // namespace lithe::models
