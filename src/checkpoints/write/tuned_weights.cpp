#include "checkpoints/write/tuned_weights.h"

#include <functional>
#include <utility>
#include <variant>
#include <vector>

#include "models/parts/weight_slot.h"

namespace lithe::models {
namespace {

/// Gives the numbers as float32. They are widened only when they are written, one weight after another.
std::function<Tensor()> maker_of(const WeightPlace& place) {
  if (auto* const* weight = std::get_if<nn::Weight*>(&place))
    return [held = **weight] { return held.widened(at::kFloat); };
  return [held = *std::get<Tensor*>(place)] { return held.to(at::kFloat); };
}

std::vector<int64_t> published_shape(const WeightSlot& slot) {
  std::vector<int64_t> shape = slot.shape;
  const bool is_convolution = slot.name.adapter != Adapter::none && slot.name.role != Role::adapter_gate;
  if (is_convolution && shape.size() == 2) shape.push_back(1);
  return shape;
}

bool is_factor(const WeightName& name) {
  return name.kind == Kind::factor_a || name.kind == Kind::factor_b;
}

}  // namespace

std::map<WeightName, TunedWeight> held_weights(const Model& model) {
  std::map<WeightName, TunedWeight> weights;
  const WeightVisitor take = [&](const WeightSlot& slot) {
    if (is_factor(slot.name)) return;
    weights[slot.name] = {{at::kFloat, published_shape(slot), maker_of(slot.place)},
                          learning_at(slot.place).has_value(),
                          !model.loaded.origins.contains(slot.name)};
  };
  visit(const_cast<Model&>(model), take);  // the places are only read
  return weights;
}

}  // namespace lithe::models
