#include "models/lora.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/printable.h"
#include "models/facts.h"
#include "models/parts/noise.h"

namespace lithe::models {
namespace {

constexpr const char* kAllLinear = "all-linear";

/// A product's name as its checkpoint has it, without ".weight".
std::string module_of(const Model& model, const WeightName& name) {
  const auto origin = model.loaded.origins.find(name);
  const std::string weight = origin == model.loaded.origins.end() ? text_of(name) : origin->second.name;
  return weight.substr(0, weight.rfind('.'));
}

/// Products that LoRA may go on: of these parts, and no adapter's own.
bool is_eligible(const WeightSlot& slot, const LoraShape& shape) {
  const WeightName& name = slot.name;
  if (!slot.linear || name.adapter != Adapter::none || name.role == Role::patches) return false;
  return name.part == Part::decoder || (name.part == Part::projector ? shape.projector : shape.tower);
}

bool is_target(const std::string& module, const WeightName& name, const LoraShape& shape) {
  if (shape.target_modules.front() == kAllLinear) return name.role != Role::head;
  return std::any_of(shape.target_modules.begin(), shape.target_modules.end(),
                     [&](const std::string& target) { return ends_with_module(module, target); });
}

void check(const Model& model, const LoraShape& shape) {
  require(model.facts.low_rank.empty(), Fault::bad_request, model.name,
          ": has LoRA already, and LoRA goes over no other; merge it into the model with `lithe fold` first");
  require(shape.rank > 0 && shape.rank <= plan::kMaxWidth && std::isfinite(shape.alpha), Fault::bad_request, model.name,
          ": LoRA is to have rank ", shape.rank, " and alpha ", shape.alpha,
          "; the rank must be more than 0, and alpha a number");
  require(!shape.target_modules.empty(), Fault::bad_request, model.name,
          ": LoRA is to go on no product; name some in target_modules, or \"all-linear\"");
}

}  // namespace

double LoraShape::scale() const {
  return alpha / (rank_stabilised ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank));
}

bool ends_with_module(std::string_view module, std::string_view target) {
  if (!module.ends_with(target)) return false;
  return module.size() == target.size() || module[module.size() - target.size() - 1] == '.';
}

void add_lora(Model& model, const LoraShape& shape) {
  check(model, shape);
  std::vector<WeightSlot> targets;
  const WeightVisitor find = [&](const WeightSlot& slot) {
    if (is_eligible(slot, shape) && is_target(module_of(model, slot.name), slot.name, shape)) targets.push_back(slot);
  };
  visit(model, find);
  const bool wants_head = std::any_of(shape.target_modules.begin(), shape.target_modules.end(),
                                      [](const std::string& target) { return ends_with_module("lm_head", target); });
  require(!wants_head || !model.decoder.config.tied_embeddings, Fault::bad_request, model.name,
          ": its head is the embeddings, so LoRA cannot go on it alone; leave lm_head out of target_modules");
  require(!targets.empty(), Fault::bad_request, model.name, ": no product that LoRA may go on is called ",
          in_quotes(shape.target_modules.front()), "; names end as in \"q_proj\" or \"mlp.up_proj\"");
  uint64_t seed = shape.seed;
  const at::TensorOptions floats(at::kFloat);
  for (const WeightSlot& slot : targets) {
    const int64_t out = slot.linear->out(), in = slot.linear->in();
    Tensor a = at::empty({shape.rank, in}, floats), b = at::zeros({out, shape.rank}, floats);
    fill_with_noise(a, static_cast<float>(1 / std::sqrt(static_cast<double>(in))), seed += kNextSeed);
    const at::Device device = slot.linear->weight.device();
    slot.linear->low_rank =
        nn::LowRank{a.to(device).set_requires_grad(true), b.to(device).set_requires_grad(true), shape.scale(), {}};
    model.loaded.bytes += static_cast<int64_t>(a.nbytes() + b.nbytes());
  }
  set_lora_dropout(model, shape.dropout, shape.seed);
  model.facts = facts_of(model);
}

void set_lora_dropout(Model& model, double dropout, uint64_t seed) {
  const WeightVisitor set = [&](const WeightSlot& slot) {
    if (slot.linear && slot.linear->low_rank)
      slot.linear->low_rank->dropout = {dropout, ~(seed += kNextSeed)};  // ~: apart from adapters'
  };
  visit(model, set);
}

}  // namespace lithe::models
