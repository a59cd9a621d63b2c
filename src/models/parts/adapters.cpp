#include "models/parts/adapters.h"

#include "models/parts/weight_slots.h"

namespace lithe::models {
namespace {

using at::Tensor;

nn::GatedUp shaped_up(const AdapterShape& shape) {
  return {Tensor(), Tensor(), Tensor(), Tensor(), shape.groups, shape.scale};
}

nn::AdapterGate shaped_gate(const AdapterShape& shape) {
  nn::AdapterGate gate{shaped_linear(shape.router_bias), shape.temperature};
  gate.left_out = shape.gate_rows == GateRows::after_first ? 1 : 0;
  if (shape.gate_rows == GateRows::first) gate.most = 1;
  gate.each_row = shape.gate_rows == GateRows::each;
  return gate;
}

/// A tensor that is not a Linear's, with its bias.
void visit_pair(const WeightName& name, const WeightPlace& weight, std::vector<int64_t> shape,
                std::optional<Tensor>& bias, const WeightVisitor& visitor) {
  const int64_t out = shape.front();
  visitor({name.with(Kind::weight), weight, std::move(shape)});
  if (bias) visitor({name.with(Kind::bias), &*bias, {out}});
}

/// B, b, D, d.
void visit_up(const WeightName& name, nn::GatedUp& up, int64_t hidden, int64_t rank, const WeightVisitor& visitor) {
  const int64_t columns = rank / up.groups;
  visit_pair(name.with(Role::path1), &up.b_weight, {hidden, columns}, up.b_bias, visitor);
  visit_pair(name.with(Role::path2), &*up.d_weight, {hidden, columns}, up.d_bias, visitor);
}

void visit_gate(const WeightName& name, nn::AdapterGate& gate, int64_t hidden, const WeightVisitor& visitor) {
  visit_pair(name.with(Role::adapter_gate), &gate.router.weight, {2, hidden}, gate.router.bias, visitor);
}

}  // namespace

EasLayer eas_of(const EasLayers& eas, int64_t layer) {
  const auto found = eas.find(layer);
  return found == eas.end() ? EasLayer{} : found->second;
}

nn::RepAdapter shaped_adapter(const AdapterShape& shape) {
  return {shaped_linear(true), shaped_up(shape), shaped_gate(shape)};
}

nn::Pia shaped_pia(const AdapterShape& shape) {
  nn::Pia pia{shaped_linear(true), shaped_linear(true), shaped_up(shape),
              shaped_gate(shape),  std::nullopt,        std::nullopt};
  pia.freezes_mean = shape.freezes_mean;
  return pia;
}

void visit_adapter(const WeightName& layer, nn::RepAdapter& adapter, int64_t rank, int64_t hidden,
                   const WeightVisitor& visitor) {
  const WeightName name = layer.with(Adapter::rep);
  visit(name.with(Role::shared), adapter.down, rank, hidden, visitor);
  visit_up(name, adapter.up, hidden, rank, visitor);
  visit_gate(name, *adapter.gate, hidden, visitor);
}

void visit_pia(const WeightName& layer, nn::Pia& pia, int64_t rank, int64_t hidden, const WeightVisitor& visitor) {
  const WeightName name = layer.with(Adapter::pia);
  visit(name.with(Role::shared), pia.shared, rank, hidden, visitor);
  visit(name.with(Role::own), pia.own, rank, hidden, visitor);
  visit_up(name, pia.up, hidden, rank, visitor);
  visit_gate(name, *pia.gate, hidden, visitor);
}

}  // namespace lithe::models
