#pragma once

#include "ops/rope.h"

namespace lithe::ops {

/// `rotate` as one node of autograd, which keeps the angles only: the gradient is turned back. It can be differentiated
/// only once.
Tensor rotate_node(const Tensor& x, const RopeAngles& angles);

}  // namespace lithe::ops
