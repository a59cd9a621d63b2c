#pragma once

#include <random>
#include <string>
#include <vector>

#include "plan/facts.h"
#include "plan/plan.h"

namespace lithe::plan {

/// A small model whose every layer may have a router.
inline ModelFacts small_model(int64_t layers) {
  ModelFacts model;
  model.name = "small";
  model.layers = layers;
  model.hidden = 12;
  model.intermediate = 20;
  model.heads = 3;
  model.kv_heads = 1;
  model.head_dim = 4;
  model.vocab = 50;
  model.routers_everywhere = true;
  return model;
}

class RandomPlans {
 public:
  explicit RandomPlans(uint32_t seed) : generator_(seed) {}

  int64_t below(int64_t n) { return static_cast<int64_t>(generator_() % static_cast<uint32_t>(n)); }
  bool coin() { return below(2) == 1; }

  Rule rule(bool after_attention) {
    constexpr Group kGroups[] = {Group::vision, Group::vision_high_res, Group::text, Group::all};
    Rule rule;
    rule.group = kGroups[below(4)];
    if (coin()) {
      rule.keep_share = static_cast<double>(below(101)) / 100.0;
    } else {
      rule.keep_count = below(12);
    }
    const std::vector<std::string> by{"router",    "random",      "uniform",   "similarity",
                                      "diversity", "relevance",   "attention", "text_attention",
                                      "key_norm",  "duplication", "variation"};
    rule.by = by[static_cast<std::size_t>(below(after_attention ? 11 : 6))];
    const bool reads_text = rule.by == "text_attention" || rule.by == "relevance" || rule.by == "duplication";
    if (reads_text && rule.group != Group::vision_high_res) rule.group = Group::vision;
    if (rule.by == "random") rule.seed = generator_();
    if (rule.by == "router" && coin()) rule.gate = Gate{WeightNorm::softmax, 0.1 * static_cast<double>(below(9)), -0.3};
    if (rule.by == "router" && coin()) rule.gate = Gate{};
    const bool key_value = coin();
    rule.others = {.query = coin(), .key_value = key_value, .cache = key_value && coin(), .feed_forward = coin()};
    const bool vision_only = rule.group == Group::vision || rule.group == Group::vision_high_res;
    rule.others_return = !vision_only || coin();
    return rule;
  }

  Plan plan(int64_t layers) {
    Plan plan{.name = "random plan"};
    bool after_attention = false;
    for (int64_t layer = 0; layer < layers; ++layer) {
      LayerPlan entry{.layer = layer, .self_attention = below(4) != 0};
      for (int64_t i = below(4); i > 0; --i) entry.rules.push_back(rule(after_attention));
      // What reads the attention before it needs rows that ran it, whatever their number.
      if (entry.self_attention) after_attention = entry.rules.empty();
      plan.layers.push_back(entry);
    }
    return plan;
  }

 private:
  std::mt19937 generator_;
};

}  // namespace lithe::plan
