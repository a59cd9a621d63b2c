#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "ops/matmul.h"

namespace lithe::nn {

using at::Tensor;

/// A linear map; how its weight is stored (float32, bfloat16, float16) is hidden from callers.
struct Linear {
  Tensor weight;               ///< [out, in]
  std::optional<Tensor> bias;  ///< [out]

  /// x: [rows, in] -> [rows, out]
  Tensor operator()(const Tensor& x) const { return ops::linear(x, weight, bias); }
  int64_t in() const { return weight.size(1); }
  int64_t out() const { return weight.size(0); }
};

}  // namespace lithe::nn
