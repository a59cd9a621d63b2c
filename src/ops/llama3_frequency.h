#pragma once

#include "ops/rope.h"

namespace lithe::ops {

/// What llama3's scaling makes of a frequency: long wavelengths are slowed by `factor`, short ones kept, those between
/// blended.
double llama3_frequency(const RopeConfig& config, double frequency);

}  // namespace lithe::ops
