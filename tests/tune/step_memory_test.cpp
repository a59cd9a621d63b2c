// What a whole step allocates over weights that do not learn: no copy of them in float32 is kept until the backward
// pass, by no part of the model.
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include "models/additions.h"
#include "models/compute.h"
#include "models/facts.h"
#include "models/lora.h"
#include "models/parts/noise.h"
#include "ops/allocation_meter.h"
#include "text/labels.h"
#include "tune/loss.h"
#include "tune/support.h"

namespace lithe::tune {
namespace {

constexpr int64_t kLayers = 6, kRows = 24;

/// A decoder of 16-bit weights, which are large beside what a few rows make of them.
models::Model frozen_model() {
  models::DecoderConfig config{.layers = kLayers,
                               .hidden = 256,
                               .intermediate = 1024,
                               .heads = 4,
                               .kv_heads = 4,
                               .head_dim = 64,
                               .vocab = 2048,
                               .max_positions = 512};
  config.rope.head_dim = config.head_dim;
  models::Model model{.name = "frozen"};
  model.decoder = models::shaped_decoder(config);
  uint64_t seed = 1;
  visit(model.decoder, [&](const models::WeightSlot& slot) {
    at::Tensor values = at::full(slot.shape, 1.0, slot.matrix ? at::kBFloat16 : at::kFloat);
    if (slot.matrix) models::fill_with_noise(values, 0.1F, seed += models::kNextSeed);
    models::put(slot.place, values);
  });
  tie(model.decoder);
  model.facts = facts_of(model);
  return model;
}

TrainingRows some_rows(const plan::Plan& plan) {
  TrainingRows rows;
  const std::vector<routing::RowKind> kinds(static_cast<size_t>(kRows), routing::RowKind::text);
  rows.batch.add({.plan = &plan, .prompt_end = kRows / 2}, kinds);
  rows.embeddings = at::randn({kRows, 256}, at::kFloat);
  rows.targets.assign(static_cast<size_t>(kRows), text::kIgnored);
  for (int64_t row = kRows / 2; row < kRows; ++row) rows.targets[static_cast<size_t>(row)] = row;
  return rows;
}

/// The most that forward and backward of a step hold at a time.
int64_t peak_of(const models::Model& model, const plan::Plan& plan) {
  const TrainingRows rows = some_rows(plan);
  const auto meter = std::make_shared<ops::AllocationMeter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
  summed_loss(model.decoder, rows).backward();
  return meter->peak();
}

/// Numbers of a layer, and what a step may hold: one panel or weight widened at a time, and the activations of all
/// layers, of which a row has about 30 of the layer's width (the products' results, the branches and their inputs).
constexpr int64_t kLayerNumbers = 4 * 256 * 256 + 3 * 256 * 1024;
constexpr int64_t kMost = 4 * (2048 * 256 + 2 * kLayers * kRows * 30 * 256);

void expect_no_widened_copy(models::Model& model, const plan::Plan& plan) {
  ASSERT_LT(kMost, 4 * kLayers * kLayerNumbers / 2);  // or the test would prove nothing
  EXPECT_LT(peak_of(model, plan), kMost);
  models::compute_in_bfloat16(model);
  EXPECT_LT(peak_of(model, plan), kMost) << "in bfloat16";
  model.decoder.recomputes = true;
  EXPECT_LT(peak_of(model, plan), kMost) << "recomputed";
}

TEST(StepMemory, LoraKeepsNoWidenedWeights) {
  models::Model model = frozen_model();
  models::add_lora(model, {.rank = 4, .dropout = 0.1});
  expect_no_widened_copy(model, {});
}

TEST(StepMemory, AdaptersKeepNoWidenedWeights) {
  models::Model model = frozen_model();
  models::add_adapters(model, {.rep_rank = 8, .pia_rank = 8});
  plan::Plan plan;
  for (int64_t layer = 0; layer < kLayers; layer += 2) plan.layers.push_back({.layer = layer, .self_attention = false});
  expect_no_widened_copy(model, plan);
}

}  // namespace
}  // namespace lithe::tune
