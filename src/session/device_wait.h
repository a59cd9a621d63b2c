#pragma once

#include <ATen/core/Tensor.h>

namespace lithe::session {

/// Waits until the values of a tensor are there, so that a clock may be read: a GPU works after the program has gone
/// on. Does nothing on the CPU.
void wait_for(const at::Tensor& result);

}  // namespace lithe::session
