#pragma once

#include <cstdint>
#include <string>

#include "tune/run.h"

namespace lithe::cli {

/// The progress line of a tuning run: how far, the loss, the speed, the share that is computed, the time that is left.
/// Speed and time go by the last steps, since the first ones are slow.
class TuneProgress {
 public:
  /// Takes a step in.  "120/2000 (6 %), loss 0.532, 1840 tokens/s, kept 54 %, 12 min left"
  std::string line(const tune::StepReport& step);

 private:
  int64_t seen_ = 0;
  double seconds_ = 0, rows_ = 0;  ///< Of a step, averaged.
};

/// "45 s", "12 min", "3 h 20 min"
std::string duration_text(double seconds);

}  // namespace lithe::cli
