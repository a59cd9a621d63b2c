#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

// What the tests of ops, nn and routing share: seeded tensors and comparisons.
namespace lithe::test {

using at::Tensor;

/// Seeded numbers, the same on every machine up to the last bit of std::normal_distribution.
class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}

  /// Normal numbers times `scale`, float64.
  Tensor normal(at::IntArrayRef shape, double scale = 1.0) {
    Tensor t = at::empty(shape, at::kDouble);
    double* data = t.mutable_data_ptr<double>();
    std::normal_distribution<double> draw(0.0, scale);
    for (int64_t i = 0; i < t.numel(); ++i) data[i] = draw(engine_);
    return t;
  }
  /// 0 .. bound - 1.
  int64_t below(int64_t bound) { return static_cast<int64_t>(engine_() % static_cast<uint64_t>(bound)); }
  bool coin() { return below(2) == 1; }
  template <class T>
  T one_of(const std::vector<T>& choices) {
    return choices[static_cast<size_t>(below(static_cast<int64_t>(choices.size())))];
  }

 private:
  std::mt19937_64 engine_;
};

inline double largest_difference(const Tensor& a, const Tensor& b) {
  if (a.numel() == 0) return 0.0;
  return (a.detach().to(at::kDouble) - b.detach().to(at::kDouble)).abs().max().item<double>();
}

/// Same shape, no element further apart than `absolute`; a NaN anywhere fails.
inline void expect_close(const Tensor& actual, const Tensor& expected, double absolute, const std::string& what) {
  ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
  const double difference = largest_difference(actual, expected);
  EXPECT_TRUE(difference <= absolute) << what << ": differs by " << difference << ", allowed is " << absolute;
}

/// A copy that collects a gradient.
inline Tensor leaf(const Tensor& t) {
  return t.detach().clone().requires_grad_(true);
}

}  // namespace lithe::test
