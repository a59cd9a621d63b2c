#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

namespace lithe::ops {

/// Whether autograd asks for the gradient of a tensor here.
inline bool learns(const at::Tensor& tensor) {
  return at::GradMode::is_enabled() && tensor.requires_grad();
}

}  // namespace lithe::ops
