#include "models/counting.h"

#include <algorithm>
#include <string_view>

namespace lithe::models {
namespace {

/// The count that a weight belongs to, by the name that `visit` gives it.
int64_t& count_of(std::string_view name, plan::ParameterCount& count) {
  const auto holds = [name](std::string_view part) { return name.find(part) != name.npos; };
  if (holds("adapter_attn.") || holds("replaced_adapter.") || holds(".lora_")) return count.adapters;
  if (name.starts_with("embed_tokens.")) return count.embeddings;
  if (name.starts_with("lm_head.")) return count.head;
  if (name.starts_with("layers.") || name.starts_with("norm.")) return count.decoder;
  if (name == "image_newline") return count.projector;
  return name.front() >= '0' && name.front() <= '9' ? count.projector : count.tower;
}

/// Collects LoRA product by product.
class Collector {
 public:
  using Rows = plan::LowRankFacts::Rows;

  void add(const plan::SiteName& site, Rows rows, const nn::Linear& linear) {
    if (!linear.low_rank) return;
    facts_.push_back({site, rows, linear.low_rank->a.numel() + linear.low_rank->b.numel()});
  }

  void add(const std::string& stream, const std::vector<routing::Block>& blocks) {
    for (size_t layer = 0; layer < blocks.size(); ++layer) {
      for (const routing::Site& site : blocks[layer].sites) add({stream, static_cast<int64_t>(layer)}, site);
    }
  }

  std::vector<plan::LowRankFacts> take() { return std::move(facts_); }

 private:
  void add(const plan::SiteName& name, const routing::Site& site) {
    if (const auto* attention = std::get_if<nn::Attention>(&site.branch)) {
      add(name, Rows::query, attention->query);
      add(name, Rows::query, attention->output);
      add(name, Rows::key_value, attention->key);
      add(name, Rows::key_value, attention->value);
    } else if (const auto* mlp = std::get_if<nn::Mlp>(&site.branch)) {
      if (mlp->gate) add(name, Rows::feed_forward, *mlp->gate);
      add(name, Rows::feed_forward, mlp->up);
      add(name, Rows::feed_forward, mlp->down);
    }
  }

  std::vector<plan::LowRankFacts> facts_;
};

}  // namespace

plan::ParameterCount count_parameters(const Model& model) {
  plan::ParameterCount count;
  visit(model, [&](const WeightView& weight) { count_of(weight.name, count) += weight.tensor.numel(); });
  return count;
}

std::vector<plan::LowRankFacts> low_rank_facts(const Model& model) {
  Collector collector;
  collector.add("decoder", model.decoder.blocks);
  if (model.vision) {
    collector.add("vision_tower", model.vision->tower.blocks);
    for (const nn::Linear& layer : model.vision->projector.layers) collector.add({}, Collector::Rows::projected, layer);
  }
  collector.add({}, Collector::Rows::last, model.decoder.head);
  return collector.take();
}

}  // namespace lithe::models
