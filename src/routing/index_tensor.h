#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>

#include <cstdint>
#include <span>

namespace lithe::routing {

/// Rows as an index on the device of `like`.  -> [list.size()] int64
inline at::Tensor index_tensor(std::span<const int64_t> list, const at::Tensor& like) {
  return at::tensor(at::ArrayRef<int64_t>(list.data(), list.size()), at::kLong).to(like.device());
}

}  // namespace lithe::routing
