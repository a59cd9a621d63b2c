#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>

#include "ops/matmul.h"

namespace lithe::nn {

using at::Tensor;

/// What LoRA (arXiv 2106.09685) adds to a linear map: scale B A x, A and B as thin as the rank.
struct LowRank {
  Tensor a;  ///< [rank, in]
  Tensor b;  ///< [out, rank]
  double scale = 1.0;

  int64_t rank() const { return a.size(0); }
  /// Adds the term to y, in place.  y: [rows, out], x: [rows, in] -> [rows, out]
  Tensor added_to(Tensor y, const Tensor& x) const;
};

/// A linear map; how its weight is stored (float32, bfloat16, float16) is hidden from callers.
struct Linear {
  Tensor weight;                    ///< [out, in]
  std::optional<Tensor> bias;       ///< [out]
  std::optional<LowRank> low_rank;  ///< LoRA that is not folded into the weight.

  /// x: [rows, in] -> [rows, out]
  Tensor operator()(const Tensor& x) const {
    Tensor y = ops::linear(x, weight, bias);
    return low_rank ? low_rank->added_to(std::move(y), x) : y;
  }
  int64_t in() const { return weight.size(1); }
  int64_t out() const { return weight.size(0); }
};

}  // namespace lithe::nn
