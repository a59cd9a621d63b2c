#include "models/parts/adapters.h"

#include "models/parts/weight_slots.h"

namespace lithe::models {
namespace {

using at::Tensor;

nn::GatedUp shaped_up(const AdapterShape& shape) {
  return {Tensor(), Tensor(), Tensor(), Tensor(), shape.groups, shape.scale};
}

nn::AdapterGate shaped_gate(const AdapterShape& shape) {
  return {shaped_linear(shape.router_bias), shape.temperature};
}

/// B, b, D, d.
void visit_up(const std::string& name, nn::GatedUp& up, int64_t hidden, int64_t rank, const WeightVisitor& visitor) {
  const int64_t columns = rank / up.groups;
  visitor({name + "conv_B.weight", up.b_weight, {hidden, columns}});
  visitor({name + "conv_B.bias", *up.b_bias, {hidden}});
  visitor({name + "conv_D.weight", *up.d_weight, {hidden, columns}});
  visitor({name + "conv_D.bias", *up.d_bias, {hidden}});
}

void visit_gate(const std::string& name, nn::AdapterGate& gate, int64_t hidden, const WeightVisitor& visitor) {
  visitor({name + "expert_weights.weight", gate.router.weight, {2, hidden}});
  if (gate.router.bias) visitor({name + "expert_weights.bias", *gate.router.bias, {2}});
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
  return {shaped_linear(true), shaped_linear(true), shaped_up(shape), shaped_gate(shape), std::nullopt, std::nullopt};
}

void visit_adapter(const std::string& name, nn::RepAdapter& adapter, int64_t rank, int64_t hidden,
                   const WeightVisitor& visitor) {
  visit(name + "conv_A", adapter.down, rank, hidden, visitor);
  visit_up(name, adapter.up, hidden, rank, visitor);
  visit_gate(name, *adapter.gate, hidden, visitor);
}

void visit_pia(const std::string& name, nn::Pia& pia, int64_t rank, int64_t hidden, const WeightVisitor& visitor) {
  visit(name + "conv_A", pia.shared, rank, hidden, visitor);
  visit(name + "conv_C", pia.own, rank, hidden, visitor);
  visit_up(name, pia.up, hidden, rank, visitor);
  visit_gate(name, *pia.gate, hidden, visitor);
}

}  // namespace lithe::models
