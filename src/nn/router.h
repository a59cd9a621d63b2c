#pragma once

#include <optional>

#include "nn/weight.h"

namespace lithe::nn {

/// p-MoD's router: one number a row, read from the raw residual stream (arXiv 2412.04449, section 3.2).
struct Router {
  Weight weight;               ///< [1, hidden]
  std::optional<Tensor> bias;  ///< [1]

  /// z = x . a + b in float32 (float64 for float64 rows).  x: [rows, hidden] -> [rows]
  Tensor operator()(const Tensor& x) const;
};

}  // namespace lithe::nn
