#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include <deque>
#include <limits>

#include "base/error.h"
#include "nn/lora.h"
#include "routing/tiny_model.h"

// Sequences of one batch that are under different LoRA.
namespace lithe::routing {
namespace {

using test::expect_close;

void visit_products(std::vector<Block>& blocks, const std::function<void(nn::Linear&)>& visit) {
  for (Block& block : blocks) {
    auto& attention = std::get<nn::Attention>(block.sites[0].branch);
    auto& mlp = std::get<nn::Mlp>(block.sites[1].branch);
    for (nn::Linear* product :
         {&attention.query, &attention.key, &attention.value, &attention.output, &*mlp.gate, &mlp.up, &mlp.down})
      visit(*product);
  }
}

/// A LoRA over every product of shared blocks but each third, and the blocks of a model under it alone.
struct LoraCase {
  LoraCase(Dice& dice, std::vector<Block>& shared) : alone(shared) {
    std::deque<const nn::Linear*> products;
    visit_products(shared, [&](nn::Linear& product) { products.push_back(&product); });
    size_t number = 0;
    visit_products(alone, [&](nn::Linear& product) {
      const nn::Linear* const own = products.front();
      products.pop_front();
      if (++number % 3 == 0) return;
      product.low_rank = nn::LowRank{dice.normal({2, product.in()}, 0.3), dice.normal({product.out(), 2}, 0.3), 0.5};
      lora.put(*own, *product.low_rank);
    });
  }

  std::vector<Block> alone;
  nn::Lora lora;
};

struct Ran {
  Tensor hidden;
  std::vector<int64_t> offsets;
};

Ran run(const std::vector<Block>& blocks, const std::vector<Prompt>& prompts,
        const std::vector<const nn::Lora*>& loras) {
  std::vector<std::vector<nn::LayerState>> no_states;
  std::vector<Tensor> rows;
  for (const Prompt& prompt : prompts) rows.push_back(prompt.x);
  Batch batch = batch_of(prompts, kFourLayers, 0, std::numeric_limits<int64_t>::max(), no_states, true);
  for (size_t i = 0; i < loras.size(); ++i) batch.sequences[i].lora = loras[i];
  Executor executor(std::move(batch), "decoder", kFourLayers.layers);
  Tensor x = at::cat(rows);
  for (size_t layer = 0; layer < blocks.size(); ++layer)
    x = executor.run(blocks[layer], static_cast<int64_t>(layer), x);
  return {x, executor.batch().offsets};
}

TEST(Loras, EverySequenceIsUnderItsOwnUnderEveryPlan) {
  const at::NoGradGuard no_gradient;
  Dice dice(17);
  std::vector<Block> shared = random_blocks(dice, kFourLayers);
  const LoraCase red(dice, shared), blue(dice, shared);
  const std::vector<plan::Plan> plans{
      {},
      plan_of({{.layer = 1, .rules = {rule(0.5, "attention", kNothing, false)}}}),
      plan_of({{.layer = 2, .rules = {rule(0.5, "similarity", kNothing)}}}),
      plan_of({{.layer = 0, .rules = {rule(0.0, "uniform", {false, true, true, false})}},
               {.layer = 3, .rules = {rule(0.4, "uniform", kNothing, false)}}})};
  const std::vector<std::pair<const nn::Lora*, const std::vector<Block>*>> order{
      {nullptr, &shared}, {&red.lora, &red.alone}, {&red.lora, &red.alone},  {&blue.lora, &blue.alone},
      {nullptr, &shared}, {&red.lora, &red.alone}, {&blue.lora, &blue.alone}};
  std::vector<Prompt> prompts;
  std::vector<const nn::Lora*> loras;
  for (size_t i = 0; i < order.size(); ++i) {
    prompts.push_back(random_prompt(dice, kFourLayers, kinds_of(2, 9 + static_cast<int64_t>(i), 3)));
    prompts.back().plan = plans[i % plans.size()];
    loras.push_back(order[i].first);
  }
  const Ran together = run(shared, prompts, loras);
  for (size_t i = 0; i < order.size(); ++i) {
    const Ran alone = run(*order[i].second, {prompts[i]}, {});
    const int64_t begin = together.offsets[i], count = together.offsets[i + 1] - begin;
    ASSERT_EQ(count, alone.offsets.back()) << i;
    expect_close(together.hidden.narrow(0, begin, count), alone.hidden, 1e-10, concat("sequence ", i));
  }
}

TEST(Loras, NeighboursUnderTheSameOneAreJoined) {
  const nn::Lora red, blue;
  std::vector<Sequence> sequences(6);
  for (const size_t i : {0U, 1U, 2U, 5U}) sequences[i].lora = &red;
  sequences[4].lora = &blue;
  const std::vector<int64_t> offsets{0, 2, 2, 5, 6, 6, 9};
  const std::vector<nn::LoraRows> rows = lora_rows(sequences, offsets);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].lora, &red);
  EXPECT_EQ(rows[0].begin, 0);
  EXPECT_EQ(rows[0].end, 5);
  EXPECT_EQ(rows[1].lora, &red);
  EXPECT_EQ(rows[1].begin, 6);
  EXPECT_EQ(rows[1].end, 9);
}

}  // namespace
}  // namespace lithe::routing
