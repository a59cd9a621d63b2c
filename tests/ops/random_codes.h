#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include "ops/low_bit.h"

namespace lithe::ops {

/// The size of random scales.
constexpr double kCodeStep = 1.0 / 64;

/// Random codes, scales and, if asked for, offsets.
inline LowBit random_codes(WeightKind kind, int64_t outs, int64_t width, int64_t group, bool offsets) {
  LowBit weight{.kind = kind, .width = width, .group = group};
  const int64_t groups = (width + group - 1) / group;
  weight.codes = kind == WeightKind::int8 ? at::randint(-128, 128, {outs, width}, at::kChar)
                                          : at::randint(0, 256, {outs, width / 2}, at::kByte);
  weight.scales = at::randn({outs, groups}, at::kFloat) * kCodeStep;
  if (offsets) weight.offsets = at::randn({outs, groups}, at::kFloat) * kCodeStep;
  return weight;
}

}  // namespace lithe::ops
