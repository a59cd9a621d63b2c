#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "nn/input_gram.h"
#include "ops/compute.h"
#include "ops/low_bit.h"

namespace lithe::nn {

using at::Tensor;

/// The weight of a product, or a table of embeddings: a matrix [out, in]. It alone knows how its numbers are stored:
/// as float32, bfloat16 or float16, or as codes of 8 or 4 bits. A copy shares the memory, and a frozen weight is never
/// written.
class Weight {
 public:
  Weight() = default;  ///< Still without numbers: a model's shape is made before its weights are read.
  /// [out, ..]: a convolution whose stride is its size is a matrix too. The weight is trainable if the tensor requires
  /// a gradient, else frozen. Implicit, so that a Linear is written as {tensor, bias}.
  Weight(const Tensor& stored);
  /// Codes are always frozen.
  explicit Weight(ops::LowBit codes) : stored_(codes.codes), codes_(std::move(codes)) {}

  bool defined() const { return stored_.defined(); }
  /// Whether the numbers were rounded to codes.
  bool has_codes() const { return codes_.defined(); }
  int64_t out() const { return stored_.size(0); }
  int64_t in() const { return has_codes() ? codes_.width : stored_.size(1); }
  int64_t count() const { return out() * in(); }  ///< Numbers.
  int64_t bytes() const { return has_codes() ? codes_.bytes() : static_cast<int64_t>(stored_.nbytes()); }
  /// A changed weight is rounded to it; one with codes to bfloat16.
  at::ScalarType type() const { return has_codes() ? at::kBFloat16 : stored_.scalar_type(); }
  /// "float32", "int4", ..
  const char* storage() const;
  at::Device device() const { return stored_.device(); }
  const void* address() const { return stored_.const_data_ptr(); }

  /// x w^T + bias.  x: [rows, in], bias: [out] -> [rows, out]. Differentiable; no copy of a frozen weight is kept for
  /// the backward pass.
  Tensor product(const Tensor& x, const std::optional<Tensor>& bias) const;
  /// x as products of this weight read it: on a GPU in the type of a weight of 16 bits, else as it is. Several products
  /// of the same rows then round them once, and what follows stays in that type.
  Tensor input(const Tensor& x) const { return x.to(input_type(x)); }
  at::ScalarType input_type(const Tensor& x) const;
  /// From now on, rows of float32 that a float16 weight reads stay as they are, and its products alone round them: in
  /// float16 a gradient may be too small or too large.
  void round_within_products() { rounds_within_ = true; }
  /// From now on, products of many rows are computed in this way.
  void compute_in(ops::Compute compute) { compute_ = compute; }
  ops::Compute compute() const { return compute_; }
  /// From now on, what products read is added to `gram`; null: no longer.
  void watch(std::shared_ptr<InputGram> gram) { watched_ = std::move(gram); }
  /// y w, the gradient of a product with respect to x.  y: [rows, out] -> [rows, in]. Not differentiable.
  Tensor transposed_product(const Tensor& y) const;
  /// Embeddings.  ids: [n] int64, on any device -> [n, in] float32
  Tensor rows(const Tensor& ids) const;

  /// A view of the first `count` rows. It is trainable if this weight is.
  Weight first_rows(int64_t count) const;
  /// The numbers in a type that holds them; not a copy if they are stored in it.  -> [out, in]
  Tensor widened(at::ScalarType type) const;
  /// The least and the greatest number; NaN if any number is.
  std::pair<double, double> extremes() const;

  /// What an optimiser changes, [out, in]; absent if the weight is frozen.
  std::optional<Tensor> learning() const;

 private:
  Tensor stored_;      ///< The codes, if the weight has codes.
  ops::LowBit codes_;  ///< Undefined if the numbers are stored.
  ops::Compute compute_ = ops::Compute::float32;
  bool rounds_within_ = false;
  std::shared_ptr<InputGram> watched_;
};

}  // namespace lithe::nn
