#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace lithe::ops {

using at::Tensor;

enum class Activation { silu, gelu, gelu_tanh, quick_gelu, relu };

/// From the names of `hidden_act` in transformers' configs. Throws Error{bad_file} with the unknown name.
Activation activation_from_name(const std::string& name, const std::string& source);

/// Elementwise; may reuse x's memory if no gradient is taken.  x: any shape.
Tensor activate(Activation kind, Tensor x);

/// silu(gate) * up (Shazeer 2020); may reuse gate's memory if no gradient is taken. `rounds`: the gradient goes by gate
/// and up rounded to bfloat16, which take half the memory.  [rows, width] each.
Tensor swiglu(Tensor gate, const Tensor& up, bool rounds = false);

}  // namespace lithe::ops
