#include "tune/estimate.h"

#include <algorithm>
#include <set>
#include <string>

namespace lithe::tune {
namespace {

using models::WeightName;

std::string part_of(const WeightName& name) {
  if (name.kind == models::Kind::factor_a || name.kind == models::Kind::factor_b) return "LoRA";
  if (name.adapter != models::Adapter::none) return "adapters";
  if (name.role == models::Role::router) return "routers";
  if (name.part == models::Part::decoder) return "decoder";
  return name.part == models::Part::tower ? "vision tower" : "projector";
}

}  // namespace

RunEstimate estimate_of(const models::Model& model, const AdamW& optimiser) {
  RunEstimate estimate;
  std::set<WeightName> learning;
  int64_t numbers = 0;
  optimiser.for_each_parameter([&](const Parameter& parameter) {
    learning.insert(parameter.name);
    numbers += parameter.values.numel();
  });
  visit(model, [&](const models::HeldWeight& held) {
    const std::string name = part_of(held.name);
    auto part =
        std::find_if(estimate.parts.begin(), estimate.parts.end(), [&](const auto& p) { return p.name == name; });
    if (part == estimate.parts.end()) part = estimate.parts.insert(part, {.name = name});
    part->parameters += held.weight.count();
    if (learning.contains(held.name)) part->learn += held.weight.count();
    estimate.weight_bytes += held.weight.bytes();
  });
  estimate.optimiser_bytes = 3 * 4 * numbers;  // a gradient and two averages, in float32
  return estimate;
}

}  // namespace lithe::tune
