#include "nn/linear.h"

#include <ATen/TensorOperators.h>

#include "nn/lora.h"

namespace lithe::nn {

Tensor LowRank::added_to(Tensor y, const Tensor& x, RowDraws draws) const {
  const Tensor wide = x.to(at::promoteTypes(x.scalar_type(), a.type()));  // float32 factors of 16-bit rows stay float32
  const Tensor u = dropout.acts(draws)
                       ? ops::dropped_linear(wide, a.learning().value_or(a.widened(a.type())), dropout, draws)
                       : a.product(wide, std::nullopt);  // [rows, rank]
  // The scale is applied to the thin rows. No gradient needs the old y.
  return y.add_(b.product(scale * u, std::nullopt));
}

void Linear::add_loras(Tensor& y, const Tensor& x, std::span<const LoraRows> loras) const {
  for (const auto& [lora, begin, end] : loras) {
    if (const LowRank* const term = lora->term_of(*this))
      term->added_to(y.narrow(0, begin, end - begin), x.narrow(0, begin, end - begin), {});
  }
}

}  // namespace lithe::nn
