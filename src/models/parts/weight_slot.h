#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "models/parts/weight_name.h"
#include "nn/linear.h"

namespace lithe::models {

/// Where a weight is held: that of a product or of embeddings as a Weight, all else as a tensor.
using WeightPlace = std::variant<at::Tensor*, nn::Weight*>;

/// What is held there, a tensor as one row.
inline nn::Weight held_at(const WeightPlace& place) {
  if (auto* const* weight = std::get_if<nn::Weight*>(&place)) return **weight;
  const at::Tensor& tensor = *std::get<at::Tensor*>(place);
  return tensor.defined() ? tensor.reshape({1, -1}) : tensor;
}

/// The values that learn there; absent: it is frozen.
inline std::optional<at::Tensor> learning_at(const WeightPlace& place) {
  if (auto* const* weight = std::get_if<nn::Weight*>(&place)) return (*weight)->learning();
  const at::Tensor& values = *std::get<at::Tensor*>(place);
  return values.requires_grad() ? std::optional(values) : std::nullopt;
}

inline void put(const WeightPlace& place, const at::Tensor& values) {
  std::visit([&](auto* held) { *held = values; }, place);
}

inline void put(const WeightPlace& place, nn::Weight weight) {
  *std::get<nn::Weight*>(place) = std::move(weight);
}

/// One weight of a part: its name, its place, and the shape that the part's config demands.
struct WeightSlot {
  WeightName name;
  WeightPlace place;
  std::vector<int64_t> shape;
  bool matrix = false;           ///< Held in the storage type of the model; everything else is held in float32.
  nn::Linear* linear = nullptr;  ///< Of a Linear's weight, the Linear: LoRA is added to it.
};

using WeightVisitor = std::function<void(const WeightSlot&)>;

}  // namespace lithe::models
