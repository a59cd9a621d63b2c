#pragma once

#include <cstdint>
#include <optional>

#include "io/gguf.h"
#include "ops/low_bit.h"

namespace lithe::models {

/// How llama.cpp stores queries and keys of LLaMA: rows that a rotation turns together, i and i + dim / 2 of a head,
/// lie side by side.
struct Interleaved {
  int64_t head_dim = 0;

  /// The row of the file that holds row `row` of the model.
  int64_t in_file(int64_t row) const {
    const int64_t in_head = row % head_dim, half = head_dim / 2;
    return row - in_head + in_head % half * 2 + in_head / half;
  }
};

/// Whether the type stores codes that codes_of reads.
bool has_codes(io::GgufType type);

/// A matrix of codes as int8 or int4, with the scales of the file: it stands for the same numbers. `order`: rows lie
/// interleaved and come in the order of the model.
ops::LowBit codes_of(const io::GgufTensor& tensor, const std::optional<Interleaved>& order = std::nullopt);

}  // namespace lithe::models
