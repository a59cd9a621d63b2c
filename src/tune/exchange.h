#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "tune/parameters.h"
#include "tune/ranks.h"

// What ranks exchange about parameters. Every rank calls these with the same parameters; alone they do nothing.
namespace lithe::tune {

/// The memory of a dense float32 tensor.
Numbers numbers_of(const Tensor& values);

/// Gives every rank the sum of the gradients of all. A parameter that has a gradient on one rank has it on all then.
void sum_gradients(const Ranks& ranks, const std::vector<ParameterGroup>& groups);

/// Gives every rank the values that `owner` of them has.
struct Shared {
  Tensor values;
  int64_t owner = 0;
};
void share_values(const Ranks& ranks, const std::vector<Shared>& values);

}  // namespace lithe::tune
