#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace lithe::ops {

using at::Tensor;

/// y = x / sqrt(mean(x^2) + eps) * gain over the last axis, in float32 inside.  x: [rows, hidden] -> [rows, hidden].
/// Zhang and Sennrich 2019, as in LLaMA.
Tensor rms_norm(const Tensor& x, const Tensor& gain, double eps);
/// The same, rounded to `type`; on a GPU in the same pass.
Tensor rms_norm(const Tensor& x, const Tensor& gain, double eps, at::ScalarType type);

/// Layer normalisation over the last axis.  x: [rows, hidden] -> [rows, hidden].
Tensor layer_norm(const Tensor& x, const Tensor& gain, const std::optional<Tensor>& bias, double eps);

}  // namespace lithe::ops
