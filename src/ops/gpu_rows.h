#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "ops/rope.h"

namespace lithe::ops {

/// Whether our own kernels on a GPU may replace LibTorch's differentiable operations: float32, bfloat16 or float16
/// whose last axis lies in one piece, and no gradient.
bool takes_gpu_kernels(const Tensor& x);
/// The same of float32 alone.
bool takes_float_kernels(const Tensor& x);

/// `rms_norm` of float32 rows in one pass over them, rounded to `type`.  x: [rows, hidden], gain: [hidden]
Tensor gpu_rms_norm(const Tensor& x, const Tensor& gain, double eps, at::ScalarType type);

/// `rotate`, in place.  x: [rows, heads, head_dim], where only the rows may lie apart
void gpu_rotate(const Tensor& x, const RopeAngles& angles);

/// silu(gate) up.  gate, up: [rows, width] of one type; rows may lie apart
Tensor gpu_swiglu(const Tensor& gate, const Tensor& up);

/// Copies rows of keys and values.  All: [rows, kv_heads, head_dim] of one type; those that are read may lie apart
void gpu_store(const Tensor& keys, const Tensor& values, const Tensor& to_keys, const Tensor& to_values);

/// How a router's logit becomes a weight: norm(logit) * scale + bias.
struct GateShape {
  enum class Norm { tanh, sigmoid, none };
  Norm norm = Norm::tanh;
  double scale = 1, bias = 0;
};

/// The weights of some rows, and the same at their places in `all`, by one kernel.  hidden: [rows, width], index:
/// [some] int64, router: [1, width], bias: [1], all: [rows], all float32 -> [some]
Tensor gpu_gate(const Tensor& hidden, const Tensor& index, const Tensor& router, const std::optional<Tensor>& bias,
                const GateShape& shape, const Tensor& all);

/// h + weight branch, by one kernel.  h: [rows, hidden] float32, branch: [rows, hidden], weight: [rows] float32
Tensor gpu_add_weighted(const Tensor& h, const Tensor& branch, const Tensor& weight);

/// The rows of `active` at their places, the other rows of x times their weight, by one kernel.  x: [rows, hidden],
/// weight: [rows], active: [some, hidden], all float32; places: [rows] int64, -1 for the other rows -> [rows, hidden]
Tensor gpu_merge(const Tensor& x, const Tensor& weight, const Tensor& active, const Tensor& places);

/// The same rows of up to four tables, by one kernel.  tables: [rows] or [rows, width] float32, index: [some] int64
std::vector<Tensor> gpu_gather(const std::vector<Tensor>& tables, const Tensor& index);

}  // namespace lithe::ops
