#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include "base/error.h"
#include "routing/twin.h"

// How passes follow one another: chunks, batches, observers; and what the executor refuses.
namespace lithe::routing {
namespace {

using test::expect_close;

const TinyShape kShape;

TEST(Passes, TwoChunksOfADensePromptEqualOne) {
  const at::NoGradGuard no_gradient;
  Dice dice(41);
  const std::vector<Block> blocks = random_blocks(dice, kShape);
  std::vector<Prompt> prompts{random_prompt(dice, kShape, kinds_of(2, 6, 3)),
                              random_prompt(dice, kShape, kinds_of(6, 0, 5), true)};
  std::vector<std::vector<nn::LayerState>> states(2, std::vector<nn::LayerState>(blocks.size()));
  std::vector<std::vector<Tensor>> parts(2);
  for (const auto& [begin, end] : std::vector<std::pair<int64_t, int64_t>>{{0, 4}, {4, 11}}) {
    Executor executor(batch_of(prompts, kShape, begin, end, states, true), "decoder", kShape.layers);
    Tensor x = at::cat({prompts[0].x.narrow(0, begin, end - begin), prompts[1].x.narrow(0, begin, end - begin)});
    for (size_t layer = 0; layer < blocks.size(); ++layer)
      x = executor.run(blocks[layer], static_cast<int64_t>(layer), x);
    for (size_t i = 0; i < 2; ++i) parts[i].push_back(x.narrow(0, executor.batch().offsets[i], end - begin));
  }
  for (size_t i = 0; i < 2; ++i) {
    expect_close(at::cat(parts[i]), serve(blocks, kShape, prompts[i]).prompt_hidden, 1e-9, concat("sequence ", i));
    for (const nn::LayerState& state : states[i]) EXPECT_EQ(state.positions(), prompts[i].positions);
  }
}

TEST(Passes, ABatchDecodesAsItsSequencesDoAlone) {
  const at::NoGradGuard no_gradient;
  Dice dice(42);
  const std::vector<Block> blocks = random_blocks(dice, kShape);
  std::vector<Prompt> prompts{random_prompt(dice, kShape, kinds_of(1, 6, 4)),
                              random_prompt(dice, kShape, kinds_of(2, 4, 5))};
  prompts[0].plan = plan_of({{.layer = 1, .rules = {rule(0.5, "uniform", kNothing)}}});
  prompts[1].plan = plan_of({{.layer = 0, .rules = {rule(0.5, "similarity", {true, true, false, true})}},
                             {.layer = 2, .self_attention = false}});
  std::vector<std::vector<nn::LayerState>> states(2, std::vector<nn::LayerState>(blocks.size()));
  std::vector<Tensor> decoded(2);
  for (const auto& [begin, end] : std::vector<std::pair<int64_t, int64_t>>{{0, 9}, {9, 10}, {10, 11}}) {
    Executor executor(batch_of(prompts, kShape, begin, end, states, begin == 0), "decoder", kShape.layers);
    Tensor x = at::cat({prompts[0].x.narrow(0, begin, end - begin), prompts[1].x.narrow(0, begin, end - begin)});
    for (size_t layer = 0; layer < blocks.size(); ++layer)
      x = executor.run(blocks[layer], static_cast<int64_t>(layer), x);
    if (begin == 0) continue;
    for (int64_t i = 0; i < 2; ++i) {
      Tensor& rows = decoded[static_cast<size_t>(i)];
      rows = rows.defined() ? at::cat({rows, x.narrow(0, i, 1)}) : x.narrow(0, i, 1);
    }
  }
  for (size_t i = 0; i < 2; ++i) {
    prompts[i].prompt_rows = 9;
    const Served alone = serve(blocks, kShape, prompts[i]);
    expect_close(decoded[i], alone.decoded_hidden, 1e-9, concat("sequence ", i));
    for (size_t layer = 0; layer < blocks.size(); ++layer)
      EXPECT_EQ(states[i][layer].positions(), alone.states[layer].positions());
  }
}

TEST(Passes, ObserversSeeWhatEachLayerDid) {
  Dice dice(43);
  const std::vector<Block> blocks = random_blocks(dice, kShape);
  std::vector<Prompt> prompts{random_prompt(dice, kShape, kinds_of(2, 6, 3))};
  plan::Rule routed = rule(0.5, "router", kNothing), leaving = rule(0.34, "uniform", kNothing, false);
  routed.gate = kTanhNorm;
  prompts[0].plan = plan_of({{.layer = 1, .rules = {leaving}}, {.layer = 2, .rules = {routed}}});
  std::vector<std::vector<nn::LayerState>> no_states;
  Executor executor(batch_of(prompts, kShape, 0, 99, no_states, true), "decoder", kShape.layers);
  std::vector<int64_t> entered, ran, left;
  executor.observe([&](const LayerReport& report) {
    EXPECT_EQ(report.layer, static_cast<int64_t>(entered.size()));
    entered.push_back(report.batch->rows());
    ran.push_back(report.rows->active.count());
    left.push_back(report.hidden.size(0));
    EXPECT_EQ(report.rows->router_weight[0].has_value(), report.layer == 2);
    if (report.layer == 0) {  // a dense layer gathers nothing
      for (const Rows* rows : {&report.rows->active, &report.rows->query, &report.rows->key_value, &report.rows->cache,
                               &report.rows->feed_forward, &report.rows->survivors}) {
        EXPECT_FALSE(rows->index.has_value());
      }
    }
  });
  Tensor x = prompts[0].x;
  for (size_t layer = 0; layer < blocks.size(); ++layer)
    x = executor.run(blocks[layer], static_cast<int64_t>(layer), x);
  EXPECT_EQ(entered, (std::vector<int64_t>{11, 11, 7}));
  EXPECT_EQ(ran, (std::vector<int64_t>{11, 7, 6}));
  EXPECT_EQ(left, (std::vector<int64_t>{11, 7, 7}));
}

TEST(Passes, WhatCannotBeMetIsRefused) {
  Dice dice(44);
  std::vector<Block> blocks = random_blocks(dice, kShape);
  blocks[0].router.reset();
  const auto fault_of = [&](const plan::Rule& r) {
    std::vector<Prompt> prompts{random_prompt(dice, kShape, kinds_of(1, 4, 1))};
    prompts[0].plan = plan_of({{.layer = 0, .rules = {r}}});
    try {
      run_all(blocks, kShape, prompts);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("layer 0"), std::string::npos) << error.what();
      return error.fault();
    }
    return Fault::internal;
  };
  EXPECT_EQ(fault_of(rule(0.5, "router", kNothing)), Fault::bad_request);
  EXPECT_EQ(fault_of(rule(0.5, "attention", kNothing)), Fault::bad_request);
  EXPECT_EQ(fault_of(rule(0.5, "nobody", kNothing)), Fault::bad_request);
}

}  // namespace
}  // namespace lithe::routing
