#pragma once

#include "ops/low_bit.h"

namespace lithe::ops {

/// How the rounding error of a column of weights is to change the columns after it, so that products over given rows
/// change least (GPTQ, arXiv 2210.17323): the upper triangular U of U^T U = H^-1, where H is `gram` divided by the mean
/// of its diagonal, with 0.01 added to the diagonal, or more if H has no inverse in float32. Row i of U, divided by
/// U[i, i], has the changes for an error of column i.  gram: [in, in] float32, the sum of x^T x over rows; it is used
/// up
Tensor error_feedback(Tensor gram);

/// A weight as codes of int4: columns are rounded one after another, and later columns make up for the error of each.
/// Scales are chosen as quantised() does, with the error of column i counted 1 / U[i, i]^2 times. Deterministic.
/// weight: [out, in] of any floating-point type, group: as quantised() takes it, feedback: [in, in] of the function
/// above. Throws Error{bad_request} for groups that do not fit.
LowBit quantised_with(const Tensor& weight, int64_t group, const Tensor& feedback);

}  // namespace lithe::ops
