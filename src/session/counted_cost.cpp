#include "session/counted_cost.h"

#include <algorithm>

namespace lithe::session {

plan::PromptShape prompt_shape(std::span<const routing::RowKind> kinds) {
  using routing::RowKind;
  const auto count = [&](RowKind kind) { return std::count(kinds.begin(), kinds.end(), kind); };
  const auto first_picture =
      std::find_if(kinds.begin(), kinds.end(), [](RowKind kind) { return plan::belongs(kind, plan::Group::vision); });
  plan::PromptShape shape;
  shape.high_res_tokens = count(RowKind::vision_high_res);
  shape.vision_tokens = count(RowKind::vision) + shape.high_res_tokens;
  shape.text_tokens = count(RowKind::text) + count(RowKind::modality);
  shape.text_before = first_picture == kinds.end() ? 0 : first_picture - kinds.begin();
  shape.tiles = 0;  // the tower is not counted
  return shape;
}

CountedCost counted_cost(const plan::ModelFacts& model, const plan::Plan& plan,
                         std::span<const routing::RowKind> kinds) {
  const plan::CostTable table = plan::cost(plan, model, prompt_shape(kinds));
  return {.flops = table.total.decoder + table.total.head, .dense_flops = table.dense.decoder + table.dense.head};
}

}  // namespace lithe::session
