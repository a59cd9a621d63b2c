#include "models/compute.h"

namespace lithe::models {

namespace {

void round_rows(nn::Attention& attention) {
  attention.in_bfloat16 = true;
}
void round_rows(nn::Mlp& mlp) {
  mlp.in_bfloat16 = true;
}
void round_rows(nn::Pia&) {}  // an adapter

}  // namespace

void compute_in_bfloat16(Model& model) {
  const WeightVisitor round = [](const WeightSlot& slot) {
    const bool is_product = slot.linear && slot.name.adapter == Adapter::none && slot.name.role != Role::head;
    if (is_product) slot.linear->weight.multiply_in_bfloat16();
  };
  visit(model.decoder, round);
  if (model.vision) visit(*model.vision, round);
  for (routing::Block& block : model.decoder.blocks)
    for (routing::Site& site : block.sites) std::visit([](auto& branch) { round_rows(branch); }, site.branch);
}

}  // namespace lithe::models
