#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>

#include <vector>

namespace lithe::routing {

/// Rows as an index on the device of `like`.  -> [list.size()] int64
inline at::Tensor index_tensor(const std::vector<int64_t>& list, const at::Tensor& like) {
  return at::tensor(at::ArrayRef<int64_t>(list), at::kLong).to(like.device());
}

}  // namespace lithe::routing
