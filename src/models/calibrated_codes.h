#pragma once

#include <map>

#include "models/parts/weight_name.h"
#include "ops/low_bit.h"

namespace lithe::models {

/// Codes that were rounded for some data, by the weights that they stand for.
struct CalibratedCodes {
  std::map<WeightName, ops::LowBit> by_name;
};

}  // namespace lithe::models
