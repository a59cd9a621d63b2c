#include "plan/predict.h"

#include <gtest/gtest.h>

#include <limits>

#include "plan/parse.h"

namespace lithe::plan {
namespace {

constexpr double kFree = std::numeric_limits<double>::infinity();

/// A machine on which only products and attention take time, at one speed for any number of rows.
MachineSpeed steady(double flops) {
  return {.products = {{1, flops}, {1000, flops}}, .attention = flops, .bytes = kFree, .values = kFree};
}

CostTable counted(const ModelFacts& model, const char* plan) {
  return cost(load_plan(plan, model), model, prompt_of(model, 576, 40));
}

TEST(Predict, IsTheCountIfTheSpeedIsTheSameForAll) {
  const ModelFacts model = shape_named("llava-1.5-7b");
  for (const char* plan : {"dense", "p-mod", "fastv"}) {
    const CostTable table = counted(model, plan);
    const PredictedTimes times = predicted(table, model, steady(1e12)),
                         dense = predicted_dense(table, model, steady(1e12));
    // Choosing rows is counted and not predicted: a router takes one product of a row's width.
    EXPECT_NEAR(times.prefill, (table.total.decoder + table.total.head) / 1e9, 2e-4 * times.prefill) << plan;
    EXPECT_NEAR(times.image, (table.total.tower + table.total.projector) / 1e9, 1e-9 * times.image) << plan;
    EXPECT_NEAR(dense.prefill, (table.dense.decoder + table.dense.head) / 1e9, 1e-9 * dense.prefill) << plan;
    EXPECT_NEAR(dense.image, (table.dense.tower + table.dense.projector) / 1e9, 1e-9 * dense.image) << plan;
  }
}

TEST(Predict, ATokenReadsTheWeightsAndTheCacheOfLayersThatAttend) {
  const ModelFacts model = shape_named("llava-1.5-7b");
  MachineSpeed speed = steady(2e9);  // a weight a nanosecond
  const double layer = 4.0 * 4096 * 4096 + 3.0 * 4096 * 11008, head = 32000.0 * 4096;
  EXPECT_NEAR(predicted(counted(model, "dense"), model, speed).decode, (32 * layer + head) / 1e6, 1);
  speed.products.front().flops = speed.products.back().flops = kFree;
  speed.bytes = 1e9;
  const CostTable table = counted(model, "p-mod");
  EXPECT_NEAR(predicted(table, model, speed).decode, static_cast<double>(table.total.kv_bytes) / 1e6, 1e-6);
}

TEST(Predict, TakesTheTimeBetweenTwoNumbersOfRowsAsLinear) {
  ModelFacts model = shape_named("llava-1.5-7b");
  model.layers = 1, model.tower.reset(), model.projector.widths.clear(), model.vocab = 0;
  MachineSpeed speed = steady(kFree);
  speed.products = {{1, 2e9}, {9, 6e9}};  // 1 and 3 nanoseconds for the rows of a weight
  const CostTable table = cost({}, model, {.text_tokens = 5, .tiles = 0});
  EXPECT_NEAR(predicted(table, model, speed).prefill, 2 * (4.0 * 4096 * 4096 + 3.0 * 4096 * 11008) / 1e6, 1e-6);
}

}  // namespace
}  // namespace lithe::plan
