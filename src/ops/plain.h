#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

namespace lithe::ops {

/// True where a hand-written float32 loop may stand in for LibTorch's differentiable operations.
inline bool runs_plain(const at::Tensor& x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous() &&
         !(at::GradMode::is_enabled() && x.requires_grad());
}

/// Rows a thread should at least get, so that splitting small work costs nothing.
inline int64_t grain_rows(int64_t width) {
  return std::max<int64_t>(1, 32768 / std::max<int64_t>(width, 1));
}

}  // namespace lithe::ops
