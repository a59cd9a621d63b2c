#pragma once

#include <string>

#include "base/json.h"
#include "checkpoints/read/layouts.h"
#include "io/checkpoint.h"

// Whether the head is the embeddings again. transformers ties them if either level of config.json says so and the file
// has no head that differs.
namespace lithe::models {

/// `tie_word_embeddings` of config.json or of its text_config.
bool asks_for_tied_head(const JsonView& config);

/// Whether `head` is there and differs from `embeddings`, both names in the checkpoint.
bool has_own_head(const io::Checkpoint& checkpoint, const std::string& embeddings, const std::string& head);

bool ties_head(const JsonView& config, const io::Checkpoint& checkpoint, const Layout& layout);

}  // namespace lithe::models
