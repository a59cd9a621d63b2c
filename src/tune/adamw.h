#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tune/parameters.h"
#include "tune/ranks.h"

namespace lithe::tune {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

/// AdamW (arXiv 1711.05101) by LibTorch's fused kernel, with PyTorch's arithmetic. Holds two float32 numbers for each
/// number that learns; if several ranks train, each of them holds those of its share of the parameters (ZeRO-1, arXiv
/// 1910.02054).
class AdamW {
 public:
  using StateVisitor = std::function<void(const std::string& name, const Tensor& values)>;

  AdamW(std::vector<ParameterGroup> groups, const AdamWOptions& options, Ranks ranks = {});

  const std::vector<ParameterGroup>& groups() const { return groups_; }
  void for_each_parameter(const std::function<void(const Parameter&)>& visitor) const;

  void scale_gradients(double factor);
  /// The global L2 norm of the gradients; scales them down if it is above `longest` (0: never), as PyTorch's
  /// clip_grad_norm_ does.
  double clip_gradients(double longest);
  /// One step, every group's rate times `factor`. Parameters without a gradient stay as they are. Each rank steps its
  /// share and gives it to the others.
  void step(double factor);
  void forget_gradients();
  /// Every rank gets the parameters of the first.
  void share_parameters() const;

  /// What a checkpoint needs besides the parameters: "NAME.average", "NAME.average_square" and "NAME.steps". Of this
  /// rank's share.
  void visit_state(const StateVisitor& visitor) const;
  /// The same of all parameters. Every rank must call it.
  void gather_state(const StateVisitor& visitor) const;

 private:
  void for_each_gradient(const std::function<void(Tensor&)>& visitor) const;

  struct State {
    Tensor average, average_square, steps;
  };
  struct Share {
    int64_t owner = 0;           ///< The rank that steps this parameter.
    std::optional<State> state;  ///< There only.
  };
  static State new_state(const Parameter& parameter);
  static void visit(const Parameter& parameter, const State& state, const StateVisitor& visitor);
  void share_out();

  AdamWOptions options_;
  Ranks ranks_;
  std::vector<ParameterGroup> groups_;
  std::vector<std::vector<Share>> shares_;  // as the groups' parameters
};

}  // namespace lithe::tune
