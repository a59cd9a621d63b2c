#pragma once

#include <ATen/core/Tensor.h>

#include "ops/compute.h"
#include "ops/weight_view.h"

namespace lithe::ops {

using at::Tensor;

/// A matrix of weights as codes of 8 or 4 bits (ops/weight_view.h says how they lie).
struct LowBit {
  WeightKind kind = WeightKind::int8;
  int64_t width = 0, group = 0;
  Tensor codes;    ///< [out, width] int8, or [out, width / 2] uint8 with two codes of int4 in a byte
  Tensor scales;   ///< [out, groups] float32
  Tensor offsets;  ///< [out, groups] float32; undefined: all are 0

  bool defined() const { return codes.defined(); }
  int64_t outs() const { return codes.size(0); }
  int64_t bytes() const;
  WeightView view() const;
  /// The codes of some rows. It shares memory.
  LowBit rows(int64_t first, int64_t count) const;
};

/// Rounds weights to codes.  weight: [out, in] of any floating-point type, group: columns that share a scale; for int4
/// a multiple of kCodeBlock that divides `in`. The scale of a group of int8 is its largest magnitude / 127. That of
/// int4 is the one, of some near its largest magnitude / 8, that leaves the least squared error. Deterministic. A group
/// with a weight that is not finite stands for NaN. Throws Error{bad_request} for groups that do not fit.
LowBit quantised(const Tensor& weight, WeightKind kind, int64_t group);

/// The weights that codes stand for.  -> [out, width] float32
Tensor widened(const LowBit& weight);

/// x w^T + bias, as ops::linear.  x: [rows, in] float32, bias: [out] -> [rows, out]. The weights are never widened
/// whole. Differentiable with respect to x and the bias.
Tensor low_bit_linear(const Tensor& x, const LowBit& weight, const std::optional<Tensor>& bias,
                      Compute compute = Compute::float32);

/// y w, as ops::transposed_linear.  y: [rows, out] float32 -> [rows, in]
Tensor low_bit_transposed(const Tensor& y, const LowBit& weight);

/// Embeddings.  ids: [n] int64 -> [n, in] float32
Tensor low_bit_rows(const LowBit& weight, const Tensor& ids);

}  // namespace lithe::ops
