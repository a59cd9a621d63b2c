#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/vector_set.h"
#include "ops/int4_group.h"
#include "ops/low_bit.h"

namespace lithe::ops {
namespace {

/// The number of largest magnitude, with its sign; NaN if any is.
float extreme(const float* weights, int64_t count) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (!(std::abs(weights[i]) <= std::abs(largest))) largest = weights[i];
    if (std::isnan(largest)) break;
  }
  return largest;
}

constexpr float kMost8 = 127;

/// The sum of squared errors of int4.
LITHE_VECTORISED void error_loop(const float* weights, const float* counts, int64_t count, float scale, float* error) {
  float sums[kCodeBlock] = {};
  for (int64_t first = 0; first < count; first += kCodeBlock) {
    for (int64_t i = 0; i < kCodeBlock; ++i) {
      const float weight = weights[first + i], rest = weight - scale * nearest(weight / scale, kLeast4, kMost4);
      sums[i] += counts[first + i] * rest * rest;
    }
  }
  *error = 0;
  for (const float sum : sums) *error += sum;
}

float error_of(const Int4Group& group, float scale) {
  float error = 0;
  run_vectorised<error_loop>(group.weights, group.counts, group.count, scale, &error);
  return error;
}

/// Of scales with which the largest number is 6.5 to 9 steps from zero, the one of least error. It may be negative:
/// below zero there is a step more, which a largest number that is positive may use too.
float best_scale(const Int4Group& group, float largest) {
  float best = largest / -8.0f;
  float least = error_of(group, best);
  for (float steps = 6.5f; steps <= 9.0f; steps += 0.25f) {
    for (const float scale : {largest / -steps, largest / steps}) {
      const float error = error_of(group, scale);
      if (error < least) least = error, best = scale;
    }
  }
  return best;
}

LITHE_VECTORISED void int8_loop(const float* weights, int64_t count, float scale, int8_t* codes) {
  for (int64_t i = 0; i < count; ++i) codes[i] = static_cast<int8_t>(nearest(weights[i] / scale, -kMost8, kMost8));
}

void put_int8(const float* weights, int64_t count, float step, int8_t* codes) {
  run_vectorised<int8_loop>(weights, count, step, codes);
}

void put_int4(const float* weights, int64_t count, float step, uint8_t* packed) {
  float codes[kCodeBlock];
  for (int64_t first = 0; first < count; first += kCodeBlock, packed += kCodeBlock / 2) {
    for (int64_t i = 0; i < kCodeBlock; ++i) codes[i] = nearest(weights[first + i] / step, kLeast4, kMost4);
    pack_int4(codes, kCodeBlock, packed);
  }
}

float scale_of_int8(const float* weights, int64_t count) {
  const float largest = extreme(weights, count);
  return std::isfinite(largest) ? std::abs(largest) / kMost8 : std::numeric_limits<float>::quiet_NaN();
}

/// By what weights are divided. Codes of a group whose scale is 0 stand for 0 whatever they are.
float step_of(float scale) {
  return scale == 0 ? 1.0f : scale;
}

/// One row of weights into its codes and scales.  counts: [group]
void put_row(const float* weights, const float* counts, LowBit& to, int64_t row) {
  const int64_t groups = to.scales.size(1);
  float* const scales = to.scales.mutable_data_ptr<float>() + row * groups;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t first = g * to.group, count = std::min(to.group, to.width - first);
    const bool int8 = to.kind == WeightKind::int8;
    scales[g] = int8 ? scale_of_int8(weights + first, count) : scale_of({weights + first, counts, count});
    if (!std::isfinite(scales[g])) continue;
    if (int8)
      put_int8(weights + first, count, step_of(scales[g]),
               to.codes.mutable_data_ptr<int8_t>() + row * to.width + first);
    else
      put_int4(weights + first, count, step_of(scales[g]),
               to.codes.mutable_data_ptr<uint8_t>() + (row * to.width + first) / 2);
  }
}

}  // namespace

float scale_of(const Int4Group& group) {
  const float largest = extreme(group.weights, group.count);
  if (!std::isfinite(largest)) return std::numeric_limits<float>::quiet_NaN();
  return largest == 0 ? 0.0f : best_scale(group, largest);
}

void pack_int4(const float* codes, int64_t count, uint8_t* packed) {
  constexpr int64_t kHalf = kCodeBlock / 2;
  const auto half_byte = [&](int64_t i) { return static_cast<int>(codes[i]) + 8; };
  for (int64_t block = 0; block < count; block += kCodeBlock) {
    for (int64_t i = 0; i < kHalf; ++i)
      *packed++ = static_cast<uint8_t>(half_byte(block + i) | half_byte(block + kHalf + i) << 4);
  }
}

LowBit quantised(const Tensor& weight, WeightKind kind, int64_t group) {
  const int64_t outs = weight.size(0), width = weight.size(1);
  require(group > 0 && (kind == WeightKind::int8 || (group % kCodeBlock == 0 && width % group == 0)),
          Fault::bad_request, "a weight that is ", width, " wide can't have codes of ", bits_of(kind),
          " bits in groups of ", group);
  LowBit made{.kind = kind, .width = width, .group = group};
  made.codes = kind == WeightKind::int8 ? at::zeros({outs, width}, at::kChar) : at::zeros({outs, width / 2}, at::kByte);
  made.scales = at::empty({outs, (width + group - 1) / group}, at::kFloat);
  const std::vector<float> counts(static_cast<size_t>(group), 1.0f);
  constexpr int64_t kRowsAtATime = 64;
  for (int64_t first = 0; first < outs; first += kRowsAtATime) {
    const int64_t count = std::min(kRowsAtATime, outs - first);
    const Tensor rows = weight.narrow(0, first, count).to(at::kFloat).contiguous();
    const float* const values = rows.const_data_ptr<float>();
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) put_row(values + row * width, counts.data(), made, first + row);
    });
  }
  return made;
}

}  // namespace lithe::ops
