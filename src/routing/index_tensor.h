#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstdint>
#include <span>

namespace lithe::routing {

/// Rows as an index on the device of `like`, which is not waited for.  -> [list.size()] int64
inline at::Tensor index_tensor(std::span<const int64_t> list, const at::Tensor& like) {
  const auto follows = [](int64_t row, int64_t next) { return next != row + 1; };
  const bool gap = list.empty() || std::adjacent_find(list.begin(), list.end(), follows) != list.end();
  if (!like.device().is_cpu() && !gap)
    return at::arange(list.front(), list.back() + 1, like.options().dtype(at::kLong).requires_grad(false));
  const at::Tensor index = at::tensor(at::ArrayRef<int64_t>(list.data(), list.size()), at::kLong);
  return like.device().is_cpu() ? index : index.pin_memory().to(like.device(), /*non_blocking=*/true);
}

}  // namespace lithe::routing
