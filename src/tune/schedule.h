#pragma once

#include <cstdint>

/// The learning rate over the steps of a run, as get_scheduler of transformers.
namespace lithe::tune {

enum class LrSchedule { linear, cosine, constant, constant_with_warmup };

struct RateShape {
  LrSchedule kind = LrSchedule::linear;
  int64_t warmup_steps = 0;  ///< The rate rises from 0, so step 0 of a run with warm-up changes nothing.
  int64_t steps = 1;         ///< Of the whole run.
};

/// What `step` (from 0) multiplies every group's learning rate by.
double rate_factor(const RateShape& shape, int64_t step);

/// `warmup_steps` if it is not 0, else the share of the steps, rounded up.
int64_t warmup_steps_of(int64_t warmup_steps, double warmup_ratio, int64_t steps);

}  // namespace lithe::tune
