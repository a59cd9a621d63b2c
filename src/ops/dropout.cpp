#include "ops/dropout.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/mixed.h"
#include "ops/own_loops.h"

namespace lithe::ops {
namespace {

namespace autograd = torch::autograd;

/// 0 for what is left out, else 1 / (1 - share).  -> as x
Tensor mask_for(const Tensor& x, const Dropout& dropout, RowDraws draws) {
  const int64_t rows = x.size(0), width = x.size(1);
  require(static_cast<int64_t>(draws.size()) == rows, Fault::internal, "dropout: ", rows, " rows, but ", draws.size(),
          " draws");
  Tensor mask = at::empty({rows, width}, at::kFloat);
  float* const values = mask.mutable_data_ptr<float>();
  const auto left_out = static_cast<uint32_t>(std::min(std::ldexp(dropout.share, 32), 0x1p32 - 1));
  const auto kept = static_cast<float>(1 / (1 - dropout.share));
  at::parallel_for(0, rows, grain_rows(width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const uint64_t stream = mixed(draws[static_cast<size_t>(row)], dropout.place);
      float* const to = values + row * width;
      for (int64_t column = 0; column < width; column += 2) {  // two columns share the bits of a number
        const uint64_t bits = mixed(stream, static_cast<uint64_t>(column));
        to[column] = static_cast<uint32_t>(bits) < left_out ? 0.0F : kept;
        if (column + 1 < width) to[column + 1] = static_cast<uint32_t>(bits >> 32) < left_out ? 0.0F : kept;
      }
    }
  });
  return mask.to(x.options());
}

/// What a node needs to draw again.
struct Drawn : torch::CustomClassHolder {
  Drawn(const Dropout& dropout, RowDraws draws) : dropout(dropout), draws(draws.begin(), draws.end()) {}

  Dropout dropout;
  std::vector<uint64_t> draws;
};

struct DroppedLinear : autograd::Function<DroppedLinear> {
  static Tensor forward(autograd::AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const Dropout& dropout, RowDraws draws) {
    context->save_for_backward({x, weight});
    context->saved_data["drawn"] = at::IValue::make_capsule(c10::make_intrusive<Drawn>(dropout, draws));
    return at::linear(x * mask_for(x, dropout, draws), weight);
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, autograd::variable_list gradients) {
    const autograd::variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &y = gradients[0];
    const auto drawn = c10::static_intrusive_pointer_cast<Drawn>(context->saved_data["drawn"].toCapsule());
    const Tensor mask = mask_for(x, drawn->dropout, drawn->draws);
    return {context->needs_input_grad(0) ? at::mm(y, weight).mul_(mask) : Tensor(),
            context->needs_input_grad(1) ? at::mm(y.t(), x * mask) : Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor Dropout::operator()(const Tensor& x, RowDraws draws) const {
  return acts(draws) ? x * mask_for(x, *this, draws) : x;
}

Tensor dropped_linear(const Tensor& x, const Tensor& weight, const Dropout& dropout, RowDraws draws) {
  return DroppedLinear::apply(x, weight, dropout, draws);
}

}  // namespace lithe::ops
