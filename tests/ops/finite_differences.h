#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ops/tensor_support.h"

namespace lithe::test {

/// Compares the gradients of a scalar function with central differences, number by number. inputs: leaves in float64.
inline void expect_finite_differences(const std::function<Tensor(const std::vector<Tensor>&)>& function,
                                      std::vector<Tensor> inputs, const std::string& what) {
  constexpr double kStep = 1e-5, kAllowed = 1e-8;
  for (const Tensor& input : inputs) ASSERT_TRUE(input.is_leaf() && input.requires_grad()) << what;
  function(inputs).backward();
  const at::NoGradGuard no_gradient;
  for (size_t which = 0; which < inputs.size(); ++which) {
    Tensor& input = inputs[which];
    ASSERT_TRUE(input.grad().defined()) << what << ": input " << which;
    double* const values = input.mutable_data_ptr<double>();
    const double* const slopes = input.grad().contiguous().const_data_ptr<double>();
    for (int64_t i = 0; i < input.numel(); ++i) {
      const double value = values[i];
      values[i] = value + kStep;
      const double above = function(inputs).item<double>();
      values[i] = value - kStep;
      const double below = function(inputs).item<double>();
      values[i] = value;
      EXPECT_NEAR(slopes[i], (above - below) / (2 * kStep), kAllowed)
          << what << ": input " << which << ", number " << i;
    }
  }
}

/// The same in float32, of a function that is linear in the input number `which`, along one direction. A step of 1 then
/// has the error of float32 alone. inputs: leaves that have their gradients; direction: as that input.
inline void expect_slope(const std::function<Tensor(const std::vector<Tensor>&)>& function,
                         const std::vector<Tensor>& inputs, size_t which, const Tensor& direction,
                         const std::string& what) {
  constexpr double kAllowed = 1e-5;  // of the norms
  const Tensor& gradient = inputs[which].grad();
  std::vector<Tensor> above = inputs, below = inputs;
  above[which] = inputs[which] + direction;
  below[which] = inputs[which] - direction;
  const double slope = (gradient * direction).sum(at::kDouble).item<double>();
  EXPECT_NEAR(slope, (function(above).item<double>() - function(below).item<double>()) / 2,
              kAllowed * gradient.norm().item<double>() * direction.norm().item<double>())
      << what;
}

}  // namespace lithe::test
