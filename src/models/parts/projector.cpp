#include "models/parts/projector.h"

#include "models/parts/weight_slots.h"

namespace lithe::models {

at::Tensor Projector::operator()(const at::Tensor& x, const nn::RowNotes& notes) const {
  at::Tensor y = x;
  for (size_t i = 0; i < layers.size(); ++i) y = layers[i](i == 0 ? y : ops::activate(activation, std::move(y)), notes);
  return y;
}

Projector shaped_projector(const std::vector<int64_t>& widths, bool bias, ops::Activation activation) {
  Projector projector{.widths = widths, .activation = activation};
  for (size_t i = 1; i < widths.size(); ++i) projector.layers.push_back(shaped_linear(bias));
  return projector;
}

void visit(Projector& projector, const WeightVisitor& visitor) {
  for (size_t i = 0; i < projector.layers.size(); ++i) {
    const WeightName name{.part = Part::projector, .layer = static_cast<int64_t>(i), .role = Role::product};
    visit(name, projector.layers[i], projector.widths[i + 1], projector.widths[i], visitor);
  }
}

}  // namespace lithe::models
