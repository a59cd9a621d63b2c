#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

namespace lithe::ops {

using at::Tensor;

/// A number for each row of a tensor, from which what is left out of the row is drawn. Empty: nothing is left out.
using RowDraws = std::span<const uint64_t>;

/// Dropout (arXiv 1207.0580): in training, numbers are left out at random. Whether a number is left out depends on the
/// draw of its row, its column and `place` alone. So a block that runs again leaves out the same numbers, and so does
/// the same row in another batch.
struct Dropout {
  double share = 0;    ///< Of the numbers, how many are left out. The others are divided by 1 - share.
  uint64_t place = 0;  ///< Tells this dropout from the others of a model.

  bool acts(RowDraws draws) const { return share > 0 && !draws.empty(); }
  /// Differentiable.  x: [rows, width], draws: [rows] or empty -> as x
  Tensor operator()(const Tensor& x, RowDraws draws) const;
};

/// dropout(x) w^T as one node of autograd. It keeps x, as others do, and draws again for the gradients what was left
/// out. It can be differentiated only once.  x: [rows, in], weight: [out, in], of one type -> [rows, out]
Tensor dropped_linear(const Tensor& x, const Tensor& weight, const Dropout& dropout, RowDraws draws);

}  // namespace lithe::ops
