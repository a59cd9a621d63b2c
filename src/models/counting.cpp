#include "models/counting.h"

#include "nn/lora.h"

namespace lithe::models {
namespace {

int64_t& count_of(const WeightName& name, plan::ParameterCount& count) {
  if (name.adapter != Adapter::none || name.kind == Kind::factor_a || name.kind == Kind::factor_b)
    return count.adapters;
  if (name.role == Role::embeddings) return count.embeddings;
  if (name.role == Role::head) return count.head;
  if (name.part == Part::decoder) return count.decoder;
  return name.part == Part::tower ? count.tower : count.projector;
}

/// Collects LoRA product by product.
class Collector {
 public:
  using Rows = plan::LowRankFacts::Rows;

  explicit Collector(const nn::Lora* over) : over_(over) {}

  void add(const plan::SiteName& site, Rows rows, const nn::Linear& linear) {
    if (linear.low_rank) facts_.push_back({site, rows, linear.low_rank->count()});
    const nn::LowRank* const own = over_ ? over_->term_of(linear) : nullptr;
    if (own) facts_.push_back({site, rows, own->count()});
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

  const nn::Lora* over_;
  std::vector<plan::LowRankFacts> facts_;
};

}  // namespace

plan::ParameterCount count_parameters(const Model& model) {
  plan::ParameterCount count;
  visit(model, [&](const HeldWeight& held) { count_of(held.name, count) += held.weight.count(); });
  return count;
}

std::vector<plan::LowRankFacts> low_rank_facts(const Model& model, const nn::Lora* over) {
  Collector collector(over);
  collector.add("decoder", model.decoder.blocks);
  if (model.vision) {
    collector.add("vision_tower", model.vision->tower.blocks);
    for (const nn::Linear& layer : model.vision->projector.layers) collector.add({}, Collector::Rows::projected, layer);
  }
  collector.add({}, Collector::Rows::last, model.decoder.head);
  return collector.take();
}

}  // namespace lithe::models
