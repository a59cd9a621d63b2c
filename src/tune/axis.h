#pragma once

#include <string>
#include <vector>

namespace lithe::tune {

/// An axis of a chart: its ends, and round numbers between them.
struct Axis {
  double low = 0, high = 1;
  std::vector<double> ticks;
  int digits = 0;           ///< After the point, so that neighbours differ.
  bool scientific = false;  ///< For values that would need many zeros.

  std::string text(double value) const;
};

/// An axis whose ends are ticks, about `count` steps long. Ends that are not finite or equal are widened.
Axis axis_over(double low, double high, int count);

/// An axis that ends where the values do.
Axis tight_axis(double low, double high, int count);

}  // namespace lithe::tune
