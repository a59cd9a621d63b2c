#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

namespace lithe::nn {

using at::Tensor;

/// What products of a weight read: x^T x, summed over rows. For one thread, as the products are.
class InputGram {
 public:
  /// x: [rows, in]
  void add(const Tensor& x);
  int64_t rows() const { return rows_; }
  /// [in, in] float32; undefined before the first row.
  const Tensor& sums() const { return sums_; }
  /// The same; it begins anew.
  Tensor take() {
    rows_ = 0;
    return std::move(sums_);
  }

 private:
  Tensor sums_;
  int64_t rows_ = 0;
};

}  // namespace lithe::nn
