#include "ops/matmul.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include "base/error.h"
#include "ops/half_kernels.h"
#include "ops/row_gemm.h"

namespace lithe::ops {
namespace {

/// Output columns widened at a time: 512 rows of 4096 floats are 8 MB, which stays in the outer caches.
constexpr int64_t kPanelFloats = int64_t{2} << 20;

bool is_half(const Tensor& t) {
  return t.scalar_type() == at::kBFloat16 || t.scalar_type() == at::kHalf;
}

const uint16_t* bits_of(const Tensor& weight) {
  return static_cast<const uint16_t*>(weight.const_data_ptr());
}

HalfKind kind_of(const Tensor& weight) {
  return weight.scalar_type() == at::kBFloat16 ? HalfKind::bfloat16 : HalfKind::float16;
}

/// Few rows: each weight is read once, as stored.
Tensor few_rows(const Tensor& x, const Tensor& weight) {
  const int64_t rows = x.size(0), width = x.size(1), outs = weight.size(0);
  Tensor y = at::empty({rows, outs}, x.options());
  const uint16_t* bits = bits_of(weight);
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  const HalfKind kind = kind_of(weight);
  at::parallel_for(0, outs, std::max<int64_t>(1, 65536 / width), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) dot_rows(kind, bits + o * width, in, rows, width, out + o, outs);
  });
  return y;
}

/// Many rows: a panel of weights is widened once and multiplied with all rows.
Tensor many_rows(const Tensor& x, const Tensor& weight) {
  const int64_t width = x.size(1), outs = weight.size(0);
  const int64_t panel_outs = std::clamp<int64_t>(kPanelFloats / width, 16, outs < 16 ? 16 : outs);
  Tensor y = at::empty({x.size(0), outs}, x.options());
  Tensor panel = at::empty({std::min(panel_outs, outs), width}, x.options());
  const uint16_t* bits = bits_of(weight);
  float* wide = panel.mutable_data_ptr<float>();
  const HalfKind kind = kind_of(weight);
  for (int64_t first = 0; first < outs; first += panel_outs) {
    const int64_t count = std::min(panel_outs, outs - first);
    at::parallel_for(0, count, std::max<int64_t>(1, 32768 / width), [&](int64_t begin, int64_t end) {
      widen(kind, bits + (first + begin) * width, (end - begin) * width, wide + begin * width);
    });
    Tensor columns = y.narrow(1, first, count);
    at::mm_out(columns, x, panel.narrow(0, 0, count).t());
  }
  return y;
}

/// Whether row_gemm is the faster product: some dozens of rows, and weights too large for the caches. The limits are
/// measured (docs/performance.md); a general product has the better kernel once its rearranging of the weights is paid
/// for.
bool suits_row_gemm(const Tensor& x, const Tensor& weight) {
  constexpr int64_t kLargeWeights = int64_t{4} << 20;
  const int64_t rows = x.size(0), least = is_half(weight) ? kFewRows + 1 : 48, most = is_half(weight) ? 256 : 160;
  return rows >= least && rows <= most && weight.numel() >= kLargeWeights && has_row_gemm();
}

Tensor some_rows(const Tensor& x, const Tensor& weight) {
  Tensor y = at::empty({x.size(0), weight.size(0)}, x.options());
  const WeightKind kind = weight.scalar_type() == at::kFloat      ? WeightKind::float32
                          : weight.scalar_type() == at::kBFloat16 ? WeightKind::bfloat16
                                                                  : WeightKind::float16;
  row_gemm(x.const_data_ptr<float>(), x.size(0), {kind, weight.const_data_ptr(), weight.size(0), weight.size(1)},
           y.mutable_data_ptr<float>());
  return y;
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  require(x.dim() == 2 && x.size(1) == weight.size(1), Fault::internal, "linear: x is ", x.size(-1),
          " wide, the weight takes ", weight.size(1));
  const bool plain =
      x.device().is_cpu() && x.scalar_type() == at::kFloat && weight.is_contiguous() && !at::GradMode::is_enabled();
  const bool same_type = x.scalar_type() == weight.scalar_type();
  if (!plain || (same_type && !suits_row_gemm(x, weight)) || !(same_type || is_half(weight))) {
    return at::linear(x, weight.to(x.scalar_type()),
                      bias ? std::optional<Tensor>(bias->to(x.scalar_type())) : std::nullopt);
  }
  if (x.size(0) == 0) return at::empty({0, weight.size(0)}, x.options());
  const Tensor rows = x.contiguous();
  Tensor y = suits_row_gemm(rows, weight) ? some_rows(rows, weight)
             : rows.size(0) <= kFewRows   ? few_rows(rows, weight)
                                          : many_rows(rows, weight);
  if (bias) y.add_(bias->to(at::kFloat));
  return y;
}

}  // namespace lithe::ops
