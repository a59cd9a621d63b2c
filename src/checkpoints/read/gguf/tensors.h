#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoints/read/packed_weights.h"
#include "io/checkpoint.h"
#include "io/gguf.h"

namespace lithe::models {

/// The tensors of a GGUF file, under the names that llama.cpp gives them.
struct GgufTensors {
  io::Checkpoint checkpoint;
  std::vector<PackedWeight> packed;  ///< Those that are stored as codes.
};

/// What must be known of a model to undo how llama.cpp stored it.
struct GgufOrder {
  bool interleaved = false;  ///< Queries and keys, as those of LLaMA are.
  int64_t head_dim = 0;
};

/// Tensors in the order of the model. Throws Error{bad_file} for types that are not read.
GgufTensors tensors_of(const io::GgufFile& file, const GgufOrder& order = {});

}  // namespace lithe::models
