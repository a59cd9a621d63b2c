#pragma once

#include <bit>
#include <cstdint>

#include "base/vector_set.h"

namespace lithe::ops {

/// The number that the lower 16 bits of `bits` are: a bfloat16 is the upper half of a float32.
LITHE_VECTORISED float widen_bfloat16(uint32_t bits) {
  return std::bit_cast<float>(bits << 16);
}

}  // namespace lithe::ops
