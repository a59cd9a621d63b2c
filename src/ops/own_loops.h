#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

namespace lithe::ops {

/// Whether a hand-written float32 loop may replace LibTorch's differentiable operations.
inline bool takes_own_loops(const at::Tensor& x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous() &&
         !(at::GradMode::is_enabled() && x.requires_grad());
}

/// Whether a gradient of either is asked for, and one of our own nodes of autograd takes both: float32 or float64 on
/// the CPU, of one type.
inline bool has_node(const at::Tensor& a, const at::Tensor& b) {
  const bool type = a.scalar_type() == at::kFloat || a.scalar_type() == at::kDouble;
  return type && b.scalar_type() == a.scalar_type() && a.device().is_cpu() && at::GradMode::is_enabled() &&
         (a.requires_grad() || b.requires_grad());
}

/// Least rows per thread, so that small work is not split.
inline int64_t grain_rows(int64_t width) {
  return std::max<int64_t>(1, 32768 / std::max<int64_t>(width, 1));
}

}  // namespace lithe::ops
