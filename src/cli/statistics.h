#pragma once

#include <span>

namespace lithe::cli {

/// Of at least one number.
double mean(std::span<const double> values);
double deviation(std::span<const double> values);  ///< Of the sample, n - 1; 0 for one number.
double median(std::span<const double> values);
double minimum(std::span<const double> values);

}  // namespace lithe::cli
