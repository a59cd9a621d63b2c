#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>

#include "nn/weight.h"
#include "ops/dropout.h"

namespace lithe::nn {

using ops::RowDraws;

/// What LoRA (arXiv 2106.09685) adds to a linear map: scale B A x, with thin matrices A and B.
struct LowRank {
  Weight a;  ///< [rank, in]
  Weight b;  ///< [out, rank]
  double scale = 1.0;
  ops::Dropout dropout;  ///< Of x, in training.

  int64_t rank() const { return a.out(); }
  int64_t count() const { return a.count() + b.count(); }  ///< Numbers.
  /// Adds the term to y, in place.  y: [rows, out], x: [rows, in], draws: [rows] or empty -> [rows, out]
  Tensor added_to(Tensor y, const Tensor& x, RowDraws draws) const;
};

/// A linear map.
struct Linear {
  Weight weight;                    ///< [out, in]
  std::optional<Tensor> bias;       ///< [out]
  std::optional<LowRank> low_rank;  ///< LoRA that is not folded into the weight.

  /// x: [rows, in], draws: [rows] of dropout, or empty -> [rows, out]
  Tensor operator()(const Tensor& x, RowDraws draws = {}) const {
    Tensor y = weight.product(x, bias);
    return low_rank ? low_rank->added_to(std::move(y), x, draws) : y;
  }
  int64_t in() const { return weight.in(); }
  int64_t out() const { return weight.out(); }
};

}  // namespace lithe::nn
