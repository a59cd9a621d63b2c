#include "models/counting.h"

#include <ATen/ops/zeros.h>

#include "checkpoints/read/catalogue.h"
#include "plan/cost.h"
#include "support.h"

namespace lithe::models {
namespace {

/// Numbers in a checkpoint whose name holds `part`.
int64_t numbers(const io::Checkpoint& checkpoint, const std::string& part) {
  int64_t sum = 0;
  for (const std::string& name : checkpoint.names())
    if (name.find(part) != name.npos) sum += checkpoint.at(name).count();
  return sum;
}

/// LLaVA-EAS: three layers have no attention, adapters stand in and before the others.
TEST(Counting, CountsWhatIsThere) {
  const fs::path folder = golden_folder("llava_eas") / "checkpoint";
  const io::Checkpoint file = io::Checkpoint::open(folder);
  const auto model = open_model(folder);
  const plan::ParameterCount count = *model->facts.parameters;
  const int64_t adapters = numbers(file, "adapter_attn.") + numbers(file, "replaced_adapter.");
  EXPECT_GT(adapters, 0);
  EXPECT_EQ(count.adapters, adapters);
  EXPECT_EQ(count.decoder, numbers(file, "model.layers.") + numbers(file, "model.norm.") - adapters);
  EXPECT_EQ(count.embeddings, numbers(file, "embed_tokens"));
  EXPECT_EQ(count.head, numbers(file, "lm_head"));
  EXPECT_EQ(count.projector, numbers(file, "mm_projector"));
  int64_t whole = 0;
  visit(*model, [&](const HeldWeight& held) { whole += held.weight.count(); });
  EXPECT_EQ(count.total(), whole);
}

/// As counted by hand for one product of each kind of rows.
TEST(Counting, LoraCostsItsFactorsForEachRow) {
  auto model = open_model(golden_folder("hf_llava15") / "checkpoint");
  nn::LowRank low_rank{at::zeros({2, 32}), at::zeros({32, 2}), 1};
  auto& attention = std::get<nn::Attention>(model->decoder.blocks[1].sites[0].branch);
  attention.query.low_rank = attention.value.low_rank = low_rank;
  model->vision->projector.layers[1].low_rank = low_rank;
  std::get<nn::Mlp>(model->vision->tower.blocks[0].sites[1].branch).down.low_rank = {at::zeros({2, 64}),
                                                                                     at::zeros({32, 2}), 1};
  model->decoder.head.low_rank = {at::zeros({2, 32}), at::zeros({416, 2}), 1};
  plan::ModelFacts facts = model->facts;
  facts.low_rank = low_rank_facts(*model);
  ASSERT_EQ(facts.low_rank.size(), 5u);
  plan::Plan plan{.layers = {{.layer = 1}}};
  plan::Rule rule{.group = plan::Group::vision, .keep_count = 6, .by = "uniform"};
  rule.others = {.query = false, .key_value = true, .cache = true, .feed_forward = false};
  plan.layers[0].rules = {rule};
  const plan::CostTable table = plan::cost(plan, facts, plan::prompt_of(facts, 16, 10));
  const double decoder = (10 + 6) * 128 + (10 + 16) * 128, tower = 17 * 2 * (64 + 32), projector = 16 * 128,
               head = 2 * (32 + 416);
  EXPECT_EQ(table.adapters.low_rank, 2 * (decoder + tower + projector + head));
  EXPECT_EQ(table.adapters.low_rank_beside, table.total.flops);
}

}  // namespace
}  // namespace lithe::models
