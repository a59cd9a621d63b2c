#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ops/low_bit.h"

namespace lithe::models {

/// A weight that a file stores as codes of 8 or 4 bits.
struct PackedWeight {
  std::string name;                    ///< In the checkpoint.
  std::vector<int64_t> shape;          ///< [out, in]
  std::function<ops::LowBit()> codes;  ///< Makes them from those of the file.
};

}  // namespace lithe::models
