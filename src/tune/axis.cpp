#include "tune/axis.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

namespace lithe::tune {
namespace {

constexpr double kMostPlain = 1e6, kLeastPlain = 1e-3;
constexpr double kMost = 1e300, kLeast = 1e-280;  ///< Sizes that are told apart.

/// 1, 2 or 5 times a power of ten, not below span / count.
double round_step(double span, int count) {
  const double rough = span / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

/// A span that can be drawn: neither it nor its steps may overflow or become 0.
void mend(double& low, double& high) {
  if (!std::isfinite(low) || !std::isfinite(high)) {
    low = 0;
    high = 1;
  }
  low = std::clamp(low, -kMost, kMost);
  high = std::clamp(high, -kMost, kMost);
  const double least = 1e-9 * std::max({std::abs(low), std::abs(high), kLeast});
  if (high - low > least) return;
  const double pad = std::abs(low) < kLeast ? 1 : std::abs(low) * 0.1;
  low -= pad;
  high += pad;
}

Axis with_ticks(double low, double high, double step) {
  Axis axis{.low = low, .high = high};
  const double first = std::ceil(low / step - 1e-6), last = std::floor(high / step + 1e-6);
  for (double i = first; i <= last; ++i) axis.ticks.push_back(i == 0 ? 0 : i * step);
  const double largest = std::max(std::abs(low), std::abs(high));
  axis.scientific = largest >= kMostPlain || largest < kLeastPlain;
  const double unit = axis.scientific ? step / std::pow(10, std::floor(std::log10(largest))) : step;
  axis.digits = std::clamp(static_cast<int>(std::ceil(-std::log10(unit) - 1e-9)), 0, 12);
  return axis;
}

}  // namespace

std::string Axis::text(double value) const {
  if (value == 0) return "0";
  std::ostringstream out;
  out << (scientific ? std::scientific : std::fixed) << std::setprecision(digits) << value;
  return out.str();
}

Axis axis_over(double low, double high, int count) {
  mend(low, high);
  const double step = round_step(high - low, count);
  return with_ticks(std::floor(low / step + 1e-6) * step, std::ceil(high / step - 1e-6) * step, step);
}

Axis tight_axis(double low, double high, int count) {
  mend(low, high);
  return with_ticks(low, high, round_step(high - low, count));
}

}  // namespace lithe::tune
