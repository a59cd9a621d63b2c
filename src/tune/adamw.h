#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tune/parameters.h"

namespace lithe::tune {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

/// AdamW (arXiv 1711.05101) by LibTorch's fused kernel, with PyTorch's arithmetic. Holds two float32 numbers for each
/// number that learns.
class AdamW {
 public:
  AdamW(std::vector<ParameterGroup> groups, const AdamWOptions& options);

  const std::vector<ParameterGroup>& groups() const { return groups_; }

  void scale_gradients(double factor);
  /// The global L2 norm of the gradients; scales them down if it is above `longest` (0: never), as PyTorch's
  /// clip_grad_norm_ does.
  double clip_gradients(double longest);
  /// One step, every group's rate times `factor`. Parameters without a gradient stay as they are.
  void step(double factor);
  void forget_gradients();

  /// What a checkpoint needs besides the parameters: "NAME.average", "NAME.average_square" and "NAME.steps".
  void visit_state(const std::function<void(const std::string& name, Tensor& values)>& visitor);

 private:
  void for_each_gradient(const std::function<void(Tensor&)>& visitor) const;

  struct State {
    std::vector<Tensor> averages, average_squares, steps;  ///< As the group's parameters.
  };
  AdamWOptions options_;
  std::vector<ParameterGroup> groups_;
  std::vector<State> states_;
};

}  // namespace lithe::tune
