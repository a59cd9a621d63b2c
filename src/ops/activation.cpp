#include "ops/activation.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>

#include "base/error.h"
#include "ops/gpu_rows.h"
#include "ops/own_loops.h"
#include "ops/row_loops.h"
#include "ops/swiglu_node.h"

namespace lithe::ops {
namespace {
constexpr int64_t kGrain = 16384;
}

Activation activation_from_name(const std::string& name, const std::string& source) {
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
  if (name == "quick_gelu") return Activation::quick_gelu;
  if (name == "relu") return Activation::relu;
  fail(Fault::bad_file, source, ": the activation '", name,
       "' is not known; known are silu, gelu, gelu_new, quick_gelu, relu");
}

Tensor activate(Activation kind, Tensor x) {
  switch (kind) {
    case Activation::silu:
      return at::silu(x);
    case Activation::gelu:
      return at::gelu(x);
    case Activation::gelu_tanh:
      return at::gelu(x, "tanh");
    case Activation::relu:
      return at::relu(x);
    case Activation::quick_gelu:
      break;
  }
  if (!takes_own_loops(x)) return x * at::sigmoid(1.702 * x);
  float* data = x.mutable_data_ptr<float>();
  at::parallel_for(0, x.numel(), kGrain,
                   [&](int64_t begin, int64_t end) { quick_gelu_in_place(data + begin, end - begin); });
  return x;
}

Tensor swiglu(Tensor gate, const Tensor& up, bool rounds) {
  require(gate.sizes() == up.sizes(), Fault::internal, "swiglu: gate and up differ in shape");
  if (has_node(gate, up)) return swiglu_node(gate, up, std::nullopt, rounds);
  if (gate.scalar_type() == up.scalar_type() && takes_gpu_kernels(gate) && takes_gpu_kernels(up))
    return gpu_swiglu(gate, up);
  if (!takes_own_loops(gate) || !takes_own_loops(up)) return at::silu(gate) * up;
  float* out = gate.mutable_data_ptr<float>();
  const float* in = up.const_data_ptr<float>();
  at::parallel_for(0, gate.numel(), kGrain,
                   [&](int64_t begin, int64_t end) { swiglu_in_place(out + begin, in + begin, end - begin); });
  return gate;
}

}  // namespace lithe::ops
