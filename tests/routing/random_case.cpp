#include "routing/random_case.h"

#include "routing/selector.h"

namespace lithe::routing {
namespace {

using plan::Group;
using plan::Plan;
using plan::Rule;
using plan::Switches;

Switches random_switches(Dice& dice) {
  Switches s{dice.coin(), dice.coin(), false, dice.coin()};
  s.cache = s.key_value && dice.coin();  // a cached row offers its key, as validate() demands
  return s;
}

/// With `spares_text` every text row forms a query in every attention.
Rule random_rule(Dice& dice, bool spares_text, bool attention) {
  Rule r = rule(static_cast<double>(dice.below(11)) / 10.0,
                dice.one_of<std::string>({"router", "random", "uniform", "similarity", "diversity", "relevance"}),
                random_switches(dice), dice.below(4) != 0);
  if (attention && dice.coin())
    r.by = dice.one_of<std::string>({"attention", "text_attention", "key_norm", "duplication", "variation"});
  if (dice.below(4) == 0) {
    r.keep_share.reset();
    r.keep_count = dice.below(8);
  }
  r.seed = static_cast<uint64_t>(dice.below(1000));
  r.group = spares_text
                ? dice.one_of<Group>({Group::vision, Group::vision_high_res, Group::padding})
                : dice.one_of<Group>({Group::vision, Group::vision_high_res, Group::text, Group::all, Group::padding});
  const bool reads_text = r.by == "text_attention" || r.by == "relevance" || r.by == "duplication";
  if (reads_text && r.group != Group::vision_high_res) r.group = Group::vision;
  if (dice.coin()) {
    r.gate = dice.one_of<plan::Gate>({kTanhNorm,
                                      {plan::WeightNorm::softmax, 1.5, 0.5},
                                      {plan::WeightNorm::sigmoid, 1.0, 0.1},
                                      {plan::WeightNorm::identity, 0.3, 1.0}});
  }
  return r;
}

/// Attention scores exist from layer 1 on if text rows always form queries and every attention is on.
Plan random_plan(Dice& dice, int64_t layers, bool decodes) {
  const bool may_score = decodes && dice.coin();
  std::vector<plan::LayerPlan> entries;
  for (int64_t layer = 0; layer < layers; ++layer) {
    plan::LayerPlan entry{.layer = layer, .self_attention = may_score || dice.below(4) != 0};
    for (int64_t rules = dice.below(4); rules > 0; --rules)
      entry.rules.push_back(random_rule(dice, may_score, may_score && layer > 0));
    if (dice.below(5) != 0) entries.push_back(std::move(entry));
  }
  return plan_of(std::move(entries));
}

}  // namespace

Prompt random_case(Dice& dice, const TinyShape& shape, bool decodes) {
  const int64_t vision = dice.below(12);
  std::vector<RowKind> kinds = kinds_of(dice.below(4), vision, 1 + dice.below(4), vision ? dice.below(vision) : 0);
  for (size_t i = 0; i + 1 < kinds.size(); ++i) {
    if (dice.below(12) == 0) kinds[i] = RowKind::padding;
  }
  if (decodes) kinds.insert(kinds.end(), 2, RowKind::text);
  Prompt prompt = random_prompt(dice, shape, kinds, dice.coin());
  if (decodes) prompt.prompt_rows -= 2;
  prompt.plan = random_plan(dice, shape.layers, decodes);
  return prompt;
}

TinyShape random_shape(Dice& dice) {
  TinyShape shape{.layers = 2 + dice.below(3),
                  .hidden = 12,
                  .heads = 4,
                  .kv_heads = dice.one_of<int64_t>({1, 2, 4}),
                  .head_dim = 4,
                  .inner = 10};
  if (dice.below(4) == 0) shape.window = 2 + dice.below(6);
  return shape;
}

void draw_adapters(Dice& dice, const TinyShape& shape, std::vector<Block>& blocks, std::vector<Prompt>& prompts) {
  for (Block& block : blocks) {
    if (dice.below(4) == 0) block.sites[0].adapter = random_rep_adapter(dice, shape.hidden, 4, dice.coin());
    if (dice.below(4) == 0) add_stand_in(dice, block, dice.coin());
    if (dice.below(4) == 0) block.sites[1].adapter = random_rep_adapter(dice, shape.hidden, 4, dice.coin());
  }
  if (dice.below(3) != 0) return;
  replace_attention(dice, blocks[static_cast<size_t>(dice.below(shape.layers))], dice.coin());
  for (Prompt& prompt : prompts) {
    for (plan::LayerPlan& entry : prompt.plan.layers) {
      for (Rule& r : entry.rules) {
        const plan::Reads reads = find_selector(r.by)->facts->reads;
        if (reads == plan::Reads::attention || reads == plan::Reads::text_attention || reads == plan::Reads::keys)
          r.by = "uniform";
      }
    }
  }
}

}  // namespace lithe::routing
