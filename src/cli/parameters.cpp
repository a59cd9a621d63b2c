#include "cli/parameters.h"

namespace lithe::cli {
namespace {

int64_t attention_parameters(const plan::ModelFacts& model) {
  return model.hidden * model.head_dim * 2 * (model.heads + model.kv_heads);
}

int64_t feed_forward_parameters(const plan::ModelFacts& model) {
  return 3 * model.hidden * model.intermediate;
}

int64_t tower_parameters(const plan::TowerFacts& tower) {
  const int64_t w = tower.width;
  const int64_t layer = 4 * (w * w + w) + 2 * w * tower.mlp + tower.mlp + w + 4 * w;
  const int64_t embedding = tower.channels * tower.patch * tower.patch * w + w + (tower.patches + 1) * w + 2 * w;
  return tower.layers * layer + embedding;
}

/// Down, two block-diagonal ways up, and the gate; a PIA has two ways down.
int64_t adapter_parameters(const plan::AdapterFacts& adapter, int64_t width) {
  const int64_t down = adapter.rank * (width + 1), up = width * adapter.rank / adapter.groups + width;
  return (adapter.replaces_attention ? 2 : 1) * down + 2 * up + 2 * (width + 1);
}

bool runs(const plan::AdapterFacts& adapter, const plan::Plan& plan) {
  const plan::LayerPlan* entry = plan.find(adapter.site.stream, adapter.site.layer);
  return adapter.replaces_attention != (!entry || entry->self_attention);
}

}  // namespace

plan::ParameterCount count_parameters(const plan::ModelFacts& model, const plan::Plan& plan) {
  if (model.parameters) return *model.parameters;
  plan::ParameterCount count;
  const int64_t layer = attention_parameters(model) + feed_forward_parameters(model) + 2 * model.hidden;
  count.decoder = model.layers * layer + model.hidden;
  count.embeddings = (model.vocab + model.modality_rows) * model.hidden;
  count.head = model.vocab * model.hidden;
  if (model.tower) count.tower = tower_parameters(*model.tower);
  for (std::size_t i = 1; i < model.projector.widths.size(); ++i) {
    count.projector += (model.projector.widths[i - 1] + 1) * model.projector.widths[i];
  }
  for (const plan::AdapterFacts& adapter : model.adapters) {
    const bool in_tower = adapter.site.stream == "vision_tower";
    if (runs(adapter, plan))
      count.adapters += adapter_parameters(adapter, in_tower ? model.tower->width : model.hidden);
  }
  return count;
}

int64_t trained_parameters(const plan::ModelFacts& model, const plan::ParameterCount& count) {
  return count.adapters + count.projector + model.modality_rows * model.hidden;
}

double decode_flops(const plan::ModelFacts& model, const std::vector<plan::LayerCost>& layers) {
  const auto width = static_cast<double>(model.heads * model.head_dim);
  double flops = 2.0 * static_cast<double>(model.hidden * model.vocab);
  for (const plan::LayerCost& layer : layers) {
    flops += 2.0 * static_cast<double>(feed_forward_parameters(model));
    if (!layer.self_attention) continue;
    flops += 2.0 * static_cast<double>(attention_parameters(model));
    flops += 4.0 * width * static_cast<double>(layer.rows.cache + 1);
  }
  return flops;
}

}  // namespace lithe::cli
