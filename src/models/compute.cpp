#include "models/compute.h"

#include "base/error.h"

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

void compute_in(Model& model, ops::Compute compute) {
  bool has_codes = false;
  const WeightVisitor put = [&](const WeightSlot& slot) {
    const bool is_product = slot.linear && slot.name.adapter == Adapter::none && slot.name.role != Role::head;
    if (!is_product) return;
    slot.linear->weight.compute_in(compute);
    has_codes = has_codes || slot.linear->weight.has_codes();
  };
  visit(model, put);
  require(compute != ops::Compute::int8 || has_codes, Fault::bad_request,
          "products of int8 need weights that are held as int8 or int4; ask for such weights too, or for products in "
          "bfloat16 or float32");
}

void round_within_products(Model& model) {
  const WeightVisitor put = [](const WeightSlot& slot) {
    if (slot.linear) slot.linear->weight.round_within_products();
  };
  visit(model, put);
}

void compute_in_bfloat16(Model& model) {
  compute_in(model, ops::Compute::bfloat16);
  for (routing::Block& block : model.decoder.blocks)
    for (routing::Site& site : block.sites) std::visit([](auto& branch) { round_rows(branch); }, site.branch);
}

}  // namespace lithe::models
