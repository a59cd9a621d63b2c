#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "tune/parameters.h"
#include "tune/ranks.h"

// What ranks exchange about parameters. Every rank calls these with the same parameters; alone they do nothing.
namespace lithe::tune {

/// The memory of a dense float32 tensor.
Numbers numbers_of(const Tensor& values);

/// Sums of gradients that begin while the last backward pass of a step goes on, as in PyTorch's
/// DistributedDataParallel: the gradient of a large parameter is on its way to the other ranks as soon as it is
/// complete.
class GradientSums {
 public:
  GradientSums(const Ranks& ranks, const std::vector<ParameterGroup>& groups);

  /// Forgets what an earlier step has begun.
  void new_step();
  /// The next backward pass is the last one of this rank's step, so it completes the gradients.
  void last_pass();
  /// Gives every rank the sum of the gradients of all. A parameter that has a gradient on one rank has it on all then.
  void finish();

 private:
  class Step;
  std::shared_ptr<Step> step_;  // none: alone
};

/// Gives every rank the values that `owner` of them has.
struct Shared {
  Tensor values;
  int64_t owner = 0;
};
void share_values(const Ranks& ranks, const std::vector<Shared>& values);

}  // namespace lithe::tune
