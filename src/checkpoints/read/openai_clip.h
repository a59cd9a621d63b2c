#pragma once

#include <map>
#include <string>

#include "base/json.h"
#include "io/checkpoint.h"

// CLIP's vision tower as OpenAI publishes it: one archive of TorchScript ("ViT-L-14.pt"), or the same tensors in
// another file. Read under the names that transformers gives.
namespace lithe::models {

/// Whether these are the tensors of such a file.
bool is_openai_clip(const io::Checkpoint& checkpoint);

/// What the vision config of transformers says of it. Sizes are those of the tensors. No tensor shows the number of
/// heads: it is width / 64, as in OpenAI's code, and 2 for towers narrower than that rule is for. Throws
/// Error{bad_file}.
Json openai_clip_config(const io::Checkpoint& checkpoint);

/// Adds every tensor of the tower as PREFIX + "encoder.layers.0.self_attn.q_proj.weight"; those of the text encoder and
/// the last product are left out. All are views. Throws Error{bad_file}.
void put_openai_clip(const io::Checkpoint& checkpoint, const std::string& prefix,
                     std::map<std::string, io::TensorView>& out);

}  // namespace lithe::models
