#pragma once

#include <ATen/core/Tensor.h>

#include "ops/weight_view.h"

namespace lithe::ops {

/// A contiguous matrix of float32, bfloat16 or float16 as the kernels see it.
inline WeightView view_of(const at::Tensor& weight) {
  const WeightKind kind = weight.scalar_type() == at::kFloat      ? WeightKind::float32
                          : weight.scalar_type() == at::kBFloat16 ? WeightKind::bfloat16
                                                                  : WeightKind::float16;
  return {kind, weight.const_data_ptr(), weight.size(0), weight.size(1)};
}

}  // namespace lithe::ops
