#include "ops/error_feedback.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cholesky_inverse.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

#include "base/error.h"
#include "ops/int4_group.h"

namespace lithe::ops {
namespace {

constexpr double kLeastDamping = 0.01, kMostDamping = 100;  // of the mean of the diagonal

/// The columns of one group, and how an error of each changes those after it.
struct Columns {
  int64_t first, count;
  const float* feedback;  // [count, count] of U
  const float* counts;    // [count] 1 / U[i, i]^2, how much an error counts
};

/// Rounds a group of one row, which `weights` holds as the groups before have changed it. errors: [count] what the
/// columns after the group are to make up for, codes: [count] space
void put_group(float* weights, const Columns& columns, LowBit& to, int64_t row, float* errors, float* codes) {
  const int64_t count = columns.count;
  float& scale = to.scales.mutable_data_ptr<float>()[row * to.scales.size(1) + columns.first / to.group];
  scale = scale_of(Int4Group{weights, columns.counts, count});
  const bool usable = std::isfinite(scale) && scale != 0;
  for (int64_t i = 0; i < count; ++i) {
    const float* const row_of_u = columns.feedback + i * count;
    const float code = usable ? nearest(weights[i] / scale, kLeast4, kMost4) : 0;
    const float error = usable ? (weights[i] - scale * code) / row_of_u[i] : 0;
    codes[i] = code;
    errors[i] = error;
    for (int64_t j = i + 1; j < count; ++j) weights[j] -= error * row_of_u[j];
  }
  pack_int4(codes, count, to.codes.mutable_data_ptr<uint8_t>() + (row * to.width + columns.first) / 2);
}

}  // namespace

Tensor error_feedback(Tensor gram) {
  const double mean = gram.diagonal().mean().item<double>();
  if (mean > 0) gram /= mean;
  double damping = 0;
  for (double wanted = kLeastDamping; wanted <= kMostDamping; wanted *= 10) {
    gram.diagonal().add_(wanted - std::exchange(damping, wanted));
    auto [lower, failed] = at::linalg_cholesky_ex(gram);
    if (failed.item<int>() != 0) continue;
    const Tensor inverse = at::cholesky_inverse(std::exchange(lower, Tensor()));
    auto [upper, failed_too] = at::linalg_cholesky_ex(inverse, true);
    if (failed_too.item<int>() == 0) return upper.contiguous();
  }
  fail(Fault::internal, "error_feedback: the gram matrix of ", gram.size(0), " columns has no inverse");
}

LowBit quantised_with(const Tensor& weight, int64_t group, const Tensor& feedback) {
  const int64_t outs = weight.size(0), width = weight.size(1);
  require(group > 0 && group % kCodeBlock == 0 && width % group == 0, Fault::bad_request, "a weight that is ", width,
          " wide can't have codes of 4 bits in groups of ", group);
  require(feedback.size(0) == width && feedback.size(1) == width, Fault::internal, "quantised_with: the weight is ",
          width, " wide, the feedback ", feedback.size(0));
  LowBit made{.kind = WeightKind::int4, .width = width, .group = group};
  made.codes = at::zeros({outs, width / 2}, at::kByte);
  made.scales = at::empty({outs, width / group}, at::kFloat);
  const Tensor rest = weight.to(at::kFloat, false, true).contiguous(), errors = at::empty({outs, group}, at::kFloat);
  const Tensor counts = feedback.diagonal().square().reciprocal();
  for (int64_t first = 0; first < width; first += group) {
    const Tensor own = rest.narrow(1, first, group).contiguous(), rows = feedback.narrow(0, first, group);
    const Tensor within = rows.narrow(1, first, group).contiguous();
    const Columns columns{first, group, within.const_data_ptr<float>(), counts.const_data_ptr<float>() + first};
    float *const values = own.mutable_data_ptr<float>(), *const left = errors.mutable_data_ptr<float>();
    at::parallel_for(0, outs, 16, [&](int64_t begin, int64_t end) {
      std::vector<float> codes(static_cast<size_t>(group));
      for (int64_t row = begin; row < end; ++row)
        put_group(values + row * group, columns, made, row, left + row * group, codes.data());
    });
    const int64_t after = first + group;
    if (after < width) rest.narrow(1, after, width - after).addmm_(errors, rows.narrow(1, after, width - after), 1, -1);
  }
  return made;
}

}  // namespace lithe::ops
