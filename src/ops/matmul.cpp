#include "ops/matmul.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/error.h"
#include "ops/code_gemm.h"
#include "ops/few_code_rows.h"
#include "ops/few_float_rows.h"
#include "ops/frozen_linear.h"
#include "ops/learning_linear.h"
#include "ops/learns.h"
#include "ops/product.h"
#include "ops/row_gemm.h"
#include "ops/tile_gemm.h"
#include "ops/weight_kernels.h"
#include "ops/weight_tensor.h"

namespace lithe::ops {
namespace {

/// Weights widened at a time: 512 rows of 4096 floats are 8 MB, which stays in the outer caches.
constexpr int64_t kPanelFloats = int64_t{2} << 20;

bool is_half(const Tensor& t) {
  return t.scalar_type() == at::kBFloat16 || t.scalar_type() == at::kHalf;
}

/// Whether the library multiplies weights of 16 bits as they are: on a GPU, which sums in float32. Widened, they would
/// take more memory, and their products several times as long.
bool multiplies_halves(const Tensor& x, const Tensor& weight) {
  return !x.device().is_cpu() && is_half(weight) && x.scalar_type() == at::kFloat;
}

/// Whether our own products take both.
bool are_plain(const Tensor& rows, const Tensor& weight) {
  return rows.device().is_cpu() && weight.device().is_cpu() && rows.scalar_type() == at::kFloat &&
         weight.is_contiguous();
}

/// Few rows: each weight is read once, as stored.
void few_rows(const Tensor& x, const WeightView& weight, Tensor& y) {
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  at::parallel_for(0, weight.outs, std::max<int64_t>(1, 65536 / weight.width),
                   [&](int64_t begin, int64_t end) { dot_rows(weight, begin, end, in, x.size(0), out); });
}

/// Rows of the weight that are widened together.
int64_t panel_outs(int64_t outs, int64_t width) {
  return std::clamp<int64_t>(kPanelFloats / std::max<int64_t>(width, 1), std::min<int64_t>(16, outs), outs);
}

/// Many rows of weights of 16 bits or less: a panel is widened once and multiplied with all rows.
void many_rows(const Tensor& x, const WeightView& weight, Tensor& y) {
  const int64_t most = panel_outs(weight.outs, weight.width);
  Tensor panel = at::empty({most, weight.width}, x.options());
  float* wide = panel.mutable_data_ptr<float>();
  for (int64_t first = 0; first < weight.outs; first += most) {
    const int64_t count = std::min(most, weight.outs - first);
    widen_rows(weight, first, count, wide);
    Tensor columns = y.narrow(1, first, count);
    at::mm_out(columns, x, panel.narrow(0, 0, count).t());
  }
}

void multiply(Product product, const Tensor& x, const WeightView& weight, Compute compute, Tensor& y) {
  if (product == Product::few_rows) return few_rows(x, weight, y);
  if (product == Product::many_rows) return many_rows(x, weight, y);
  const float* const in = x.const_data_ptr<float>();
  float* const out = y.mutable_data_ptr<float>();
  if (product == Product::row_gemm) return row_gemm(in, x.size(0), weight, out);
  if (product == Product::few_float_rows) return few_float_rows(in, x.size(0), weight, out);
  const RowCodes codes = compute == Compute::int8 ? RowCodes::int8 : RowCodes::int16;
  if (product == Product::few_code_rows) return few_code_rows(in, x.size(0), weight, codes, out);
  if (product == Product::code_gemm) return code_gemm(in, x.size(0), weight, codes, out);
  tile_gemm(in, x.size(0), weight, out);
}

Tensor multiplied(Product product, const Tensor& x, const WeightView& weight, Compute compute = Compute::float32) {
  Tensor y = at::empty({x.size(0), weight.outs}, x.options());
  if (x.size(0) > 0) multiply(product, x.contiguous(), weight, compute, y);
  return y;
}

/// y w, a panel of w at a time.  fill: puts rows of w from a first one on into a panel in y's type.
template <class Fill>
Tensor transposed_by_panels(const Tensor& y, int64_t width, const Fill& fill) {
  const int64_t outs = y.size(1), most = panel_outs(outs, width);
  Tensor x = at::zeros({y.size(0), width}, y.options());
  const Tensor buffer = at::empty({most, width}, y.options());
  for (int64_t first = 0; first < outs; first += most) {
    const Tensor panel = buffer.narrow(0, 0, std::min(most, outs - first));
    fill(first, panel);
    x.addmm_(y.narrow(1, first, panel.size(0)), panel);
  }
  return x;
}

}  // namespace

void widen_rows(const WeightView& weight, int64_t first, int64_t count, float* to) {
  at::parallel_for(0, count, std::max<int64_t>(1, 32768 / weight.width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) widen(weight, first + row, 0, weight.width, to + row * weight.width);
  });
}

Tensor stored_product(const Tensor& x, const WeightView& weight, Compute compute) {
  return multiplied(product_for(x.size(0), weight), x, weight, compute);
}

Tensor stored_transposed(const Tensor& y, const WeightView& weight) {
  if (learns_by_row_gemm(y.size(0))) {
    Tensor x = at::empty({y.size(0), weight.width}, y.options());
    row_gemm_for_rows(y.contiguous().const_data_ptr<float>(), y.size(0), weight, x.mutable_data_ptr<float>());
    return x;
  }
  return transposed_by_panels(y, weight.width, [&](int64_t first, const Tensor& panel) {
    widen_rows(weight, first, panel.size(0), panel.mutable_data_ptr<float>());
  });
}

Tensor linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  require(x.dim() == 2 && x.size(1) == weight.size(1), Fault::internal, "linear: x is ", x.size(-1),
          " wide, the weight takes ", weight.size(1));
  const bool has_gradient = learns(x) || (bias && learns(*bias));
  if (has_gradient && !learns(weight) && weight.scalar_type() != x.scalar_type()) return frozen_linear(x, weight, bias);
  if (multiplies_halves(x, weight)) return ops::linear(x.to(weight.scalar_type()), weight, bias).to(x.scalar_type());
  const bool plain = are_plain(x, weight);
  const bool has_node = has_gradient || learns(weight);
  if (has_node && plain && weight.scalar_type() == at::kFloat && learns_by_row_gemm(x.size(0)))
    return learning_linear(x, weight, bias);
  const bool as_stored = plain && !has_node && (weight.scalar_type() == at::kFloat || is_half(weight));
  const Product product = as_stored ? product_for(x.size(0), view_of(weight)) : Product::library;
  if (product == Product::library) {
    return at::linear(x, weight.to(x.scalar_type()),
                      bias ? std::optional<Tensor>(bias->to(x.scalar_type())) : std::nullopt);
  }
  Tensor y = multiplied(product, x, view_of(weight));
  if (bias) y.add_(bias->to(at::kFloat));
  return y;
}

Tensor transposed_linear(const Tensor& y, const Tensor& weight) {
  require(y.dim() == 2 && y.size(1) == weight.size(0), Fault::internal, "transposed_linear: y is ", y.size(-1),
          " wide, the weight gives ", weight.size(0));
  require(!learns(y), Fault::internal, "transposed_linear: the gradient of a stored weight's product has no gradient");
  if (are_plain(y, weight) && (weight.scalar_type() == at::kFloat || is_half(weight)) && learns_by_row_gemm(y.size(0)))
    return stored_transposed(y, view_of(weight));
  if (y.scalar_type() == weight.scalar_type()) return at::mm(y, weight);
  // A gradient in float16 may be too small or too large.
  if (multiplies_halves(y, weight) && weight.scalar_type() == at::kBFloat16)
    return at::mm(y.to(at::kBFloat16), weight).to(y.scalar_type());
  return transposed_by_panels(y, weight.size(1), [&](int64_t first, const Tensor& panel) {
    panel.copy_(weight.narrow(0, first, panel.size(0)));
  });
}

}  // namespace lithe::ops
