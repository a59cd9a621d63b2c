#include "cli/tune_progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lithe::cli {
namespace {

constexpr int64_t kWindow = 20;  ///< Steps that the averages remember.

}  // namespace

std::string TuneProgress::line(const tune::StepReport& step) {
  seen_ = std::min(seen_ + 1, kWindow);
  seconds_ += (step.seconds - seconds_) / static_cast<double>(seen_);
  rows_ += (static_cast<double>(step.rows) - rows_) / static_cast<double>(seen_);
  const double share = static_cast<double>(step.step) / static_cast<double>(std::max<int64_t>(1, step.steps));
  std::string text = fmt::format("{}/{} ({:.0f} %), loss {:.3f}", step.step, step.steps, 100 * share, step.loss);
  if (seconds_ > 0) text += fmt::format(", {:.0f} tokens/s", rows_ / seconds_);
  if (step.kept_share < 1) text += fmt::format(", kept {:.0f} %", 100 * step.kept_share);
  const double left = seconds_ * static_cast<double>(step.steps - step.step);
  return left > 0 ? text + ", " + duration_text(left) + " left" : text;
}

std::string duration_text(double seconds) {
  constexpr double kMinute = 60, kHour = 3600;
  if (seconds < kMinute) return fmt::format("{:.0f} s", std::floor(seconds));
  if (seconds < kHour) return fmt::format("{:.0f} min", std::floor(seconds / kMinute));
  const auto minutes = static_cast<int64_t>(seconds / kMinute);
  return fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

}  // namespace lithe::cli
