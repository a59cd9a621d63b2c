#include "ops/norm.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/rsqrt.h>

#include "base/error.h"
#include "ops/gpu_rows.h"
#include "ops/norm_node.h"
#include "ops/own_loops.h"
#include "ops/row_loops.h"

namespace lithe::ops {

Tensor rms_norm(const Tensor& x, const Tensor& gain, double eps, at::ScalarType type) {
  require(x.size(-1) == gain.numel(), Fault::internal, "rms_norm: x is ", x.size(-1), " wide, gain ", gain.numel());
  const bool at_once = takes_float_kernels(x) && takes_float_kernels(gain);
  return at_once ? gpu_rms_norm(x, gain, eps, type) : rms_norm(x, gain, eps).to(type);
}

Tensor rms_norm(const Tensor& x, const Tensor& gain, double eps) {
  require(x.size(-1) == gain.numel(), Fault::internal, "rms_norm: x is ", x.size(-1), " wide, gain ", gain.numel());
  if (has_node(x, gain)) return rms_norm_node(x, std::nullopt, gain, eps);
  if (takes_float_kernels(x) && takes_float_kernels(gain)) return gpu_rms_norm(x, gain, eps, at::kFloat);
  if (!x.device().is_cpu() && x.scalar_type() == gain.scalar_type()) return at::rms_norm(x, {x.size(-1)}, gain, eps);
  if (!takes_own_loops(x) || !takes_own_loops(gain)) {
    const at::ScalarType inner = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const Tensor wide = x.to(inner);
    return (gain.to(inner) * (wide * at::rsqrt(wide.square().mean(-1, true) + eps))).to(x.scalar_type());
  }
  const int64_t width = x.size(-1), rows = x.numel() / width;
  Tensor y = at::empty_like(x);
  const float *in = x.const_data_ptr<float>(), *gains = gain.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  at::parallel_for(0, rows, grain_rows(width), [&](int64_t begin, int64_t end) {
    rms_norm_rows(in + begin * width, gains, static_cast<float>(eps), end - begin, width, out + begin * width);
  });
  return y;
}

Tensor layer_norm(const Tensor& x, const Tensor& gain, const std::optional<Tensor>& bias, double eps) {
  return at::layer_norm(x, {x.size(-1)}, gain, bias, eps);
}

}  // namespace lithe::ops
