#include "checkpoints/write/tuned_weights.h"

#include <utility>
#include <variant>
#include <vector>

#include "models/parts/weight_slot.h"

namespace lithe::models {
namespace {

/// The numbers, whatever the place makes of them.
Tensor values_at(const WeightPlace& place) {
  if (auto* const* weight = std::get_if<nn::Weight*>(&place)) return (*weight)->widened((*weight)->type());
  return *std::get<Tensor*>(place);
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
    const Tensor values = values_at(slot.place);
    if (is_factor(slot.name)) return;
    weights[slot.name] = {{at::kFloat, published_shape(slot), [values] { return values.to(at::kFloat); }},
                          values.requires_grad(),
                          !model.loaded.origins.contains(slot.name)};
  };
  // The parts' own visits hand out places to fill; this one lets them be read only.
  auto& parts = const_cast<Model&>(model);
  visit(parts.decoder, take);
  if (parts.vision) visit(*parts.vision, take);
  return weights;
}

}  // namespace lithe::models
