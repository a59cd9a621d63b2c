#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lithe::nn {
struct Linear;
}

namespace lithe::models {

/// One weight of a part: its name there, its place, and the shape that the part's config demands.
struct WeightSlot {
  std::string name;
  at::Tensor& tensor;
  std::vector<int64_t> shape;
  bool matrix = false;           ///< Held in the storage type of the model; everything else is held in float32.
  nn::Linear* linear = nullptr;  ///< Of a Linear's weight, the Linear: LoRA is added to it.
};

using WeightVisitor = std::function<void(const WeightSlot&)>;

}  // namespace lithe::models
