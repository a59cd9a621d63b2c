#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "io/checkpoint.h"

// Weights that were quantised in a way that is not read (packed_weights.h has those that are): the sentence says which
// it is.
namespace lithe::models {

/// The method that config.json names ("bitsandbytes (4 bits)"); absent if it names none, or one that is read.
std::optional<std::string> quantisation_in(const JsonView& config);

/// The method by the names and types of a checkpoint's tensors.
std::optional<std::string> quantisation_in(const io::Checkpoint& checkpoint);

/// Throws Error{bad_file}.
[[noreturn]] void fail_quantised(const std::string& where, const std::string& method);

}  // namespace lithe::models
