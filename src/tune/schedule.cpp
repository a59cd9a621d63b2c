#include "tune/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lithe::tune {
namespace {

double share_of(int64_t part, int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(std::max<int64_t>(1, whole));
}

}  // namespace

double rate_factor(const RateShape& shape, int64_t step) {
  if (shape.kind == LrSchedule::constant) return 1;
  if (step < shape.warmup_steps) return share_of(step, shape.warmup_steps);
  if (shape.kind == LrSchedule::constant_with_warmup) return 1;
  const int64_t falling = shape.steps - shape.warmup_steps;
  if (shape.kind == LrSchedule::linear) return std::max(0.0, share_of(shape.steps - step, falling));
  const double progress = share_of(step - shape.warmup_steps, falling);
  return std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * progress)));
}

int64_t warmup_steps_of(int64_t warmup_steps, double warmup_ratio, int64_t steps) {
  if (warmup_steps > 0) return warmup_steps;
  return static_cast<int64_t>(std::ceil(static_cast<double>(steps) * warmup_ratio));
}

}  // namespace lithe::tune
