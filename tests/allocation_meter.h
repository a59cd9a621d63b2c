#pragma once

#include "ops/allocation_meter.h"

namespace lithe::test {

using ops::AllocationMeter;

}  // namespace lithe::test
