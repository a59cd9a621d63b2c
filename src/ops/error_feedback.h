#pragma once

#include "ops/low_bit.h"

namespace lithe::ops {

/// A weight as codes of int4, rounded for what its products read (GPTQ, arXiv 2210.17323): columns are rounded one
/// after another, and those to come make up for the error of each, as far as they tell the same in the rows behind
/// `gram`. The squared error of the products over these rows is then far less than that of `quantised`. Deterministic.
/// weight: [out, in] of any floating-point type, group: as quantised() takes it, gram: [in, in] float32, the sum of
/// x^T x over rows. Throws Error{bad_request} for groups that do not fit.
LowBit quantised_for(const Tensor& weight, int64_t group, const Tensor& gram);

}  // namespace lithe::ops
