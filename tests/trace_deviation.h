#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "io/safetensors.h"

namespace lithe::test {

/// How far a tensor of two traces differs at most, relative to the largest of its values in the first.
inline double deviation(const io::SafetensorsFile& a, const io::SafetensorsFile& b, const std::string& name) {
  const auto left = a.tensors.at(name).values<float>(), right = b.tensors.at(name).values<float>();
  EXPECT_EQ(left.size(), right.size());
  double worst = 0, largest = 0;
  for (size_t i = 0; i < left.size(); ++i) {
    worst = std::max<double>(worst, std::abs(left[i] - right[i]));
    largest = std::max<double>(largest, std::abs(left[i]));
  }
  return worst / largest;
}

}  // namespace lithe::test
