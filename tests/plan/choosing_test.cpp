#include "plan/choosing.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "plan/about.h"
#include "plan/parse.h"
#include "plan/rows.h"
#include "plan/validate.h"

namespace lithe::plan {
namespace {

TEST(Choosing, IsCheapForTheLargestPicture) {
  const ModelFacts model = shape_named("llava-next-7b");
  const PromptShape prompt = prompt_of(model, 2880, 40);
  for (const SelectorFacts& selector : known_selectors()) {
    const int64_t layer = selector.merges || selector.name == "class_attention" ? 0 : 2;
    Plan plan{
        .layers = {{.layer = layer, .rules = {{.keep_share = 0.334, .by = selector.name, .others_return = false}}}}};
    ASSERT_NO_THROW(validate(plan, model)) << selector.name;
    const CostTable chosen = cost(plan, model, prompt);
    plan.layers[0].rules[0].by = "uniform";
    const CostTable free = cost(plan, model, prompt);
    EXPECT_LE(chosen.total.flops - free.total.flops, 0.004 * chosen.dense.flops) << selector.name;
    const bool costs_nothing =
        std::set<std::string>{"random", "uniform", "first", "key_norm", "variation", "given"}.contains(selector.name);
    EXPECT_EQ(chosen.total.flops == free.total.flops, costs_nothing) << selector.name;
    EXPECT_EQ(chosen.total.kv_rows, free.total.kv_rows) << selector.name;
  }
}

TEST(Choosing, CountsWhatGoesThroughTheTowerAndTheProjector) {
  const ModelFacts model = shape_named("llava-1.5-7b");
  const auto extra = [&](const char* by, double share) {
    Plan plan{.layers = {{.rules = {{.keep_share = share, .by = by, .others_return = false}}}}};
    const double flops = cost(plan, model, prompt_of(model, 576, 40)).total.flops;
    plan.layers[0].rules[0].by = "uniform";
    return (flops - cost(plan, model, prompt_of(model, 576, 40)).total.flops) / 2;
  };
  const double projector = 1024.0 * 4096 + 4096.0 * 4096;
  EXPECT_EQ(extra("class_attention", 0.25), 576 * 1024);
  EXPECT_EQ(extra("visionzip", 0.25), 576 * 1024 + (576 - 144) * 22 * 64 + 22 * projector);
  EXPECT_EQ(extra("prumerge", 0.25), 576 * 1024 * 145.0 + 144 * projector);
  EXPECT_EQ(extra("pooled", 0.25), 144 * projector);
}

TEST(Choosing, VisionZipMakesTenOfSixtyFour) {
  EXPECT_EQ(contextual_rows(64), 10);
  EXPECT_EQ(contextual_rows(128), 20);
  EXPECT_EQ(contextual_rows(192), 30);
  EXPECT_EQ(contextual_rows(0), 0);
  EXPECT_EQ(contextual_rows(6), 0);
}

/// Whether the cells cover each patch of a map once.
bool covers(const std::vector<Cell>& cells, int64_t rows, int64_t columns) {
  std::multiset<int64_t> patches;
  for (const Cell& cell : cells) {
    for (int64_t row = cell.row; row < cell.row + cell.rows; ++row)
      for (int64_t column = cell.column; column < cell.column + cell.columns; ++column)
        patches.insert(row * columns + column);
  }
  const std::set<int64_t> once(patches.begin(), patches.end());
  return std::ssize(patches) == rows * columns && std::ssize(once) == rows * columns;
}

TEST(Cells, CutAMapIntoSoManyParts) {
  for (int64_t rows = 1; rows <= 9; ++rows) {
    for (int64_t columns = 1; columns <= 9; ++columns) {
      for (int64_t cells = 1; cells <= rows * columns; ++cells) {
        const std::vector<Cell> cut = cells_of_map(rows, columns, cells);
        ASSERT_EQ(std::ssize(cut), cells) << rows << " x " << columns;
        ASSERT_TRUE(covers(cut, rows, columns)) << rows << " x " << columns << ", " << cells;
      }
      EXPECT_EQ(std::ssize(cells_of_map(rows, columns, 1000)), rows * columns);
    }
  }
  EXPECT_TRUE(cells_of_map(3, 3, 0).empty());
  EXPECT_TRUE(cells_of_map(0, 3, 5).empty());
  const std::vector<Cell> quarter = cells_of_map(24, 24, 144);
  for (const Cell& cell : quarter) EXPECT_TRUE(cell.rows == 2 && cell.columns == 2);
}

// What each built-in plan leaves of 576 vision tokens, by layer.
TEST(Builtin, PlansKeepWhatTheirPapersKeep) {
  const ModelFacts model = shape_named("llava-1.5-7b");
  const auto kept = [&](const char* plan) {
    std::vector<int64_t> rows;
    for (const LayerCost& layer : cost(load_plan(plan, model), model, prompt_of(model, 576, 40)).layers)
      rows.push_back(layer.rows.vision_kept);
    return rows;
  };
  const auto steps = [](std::initializer_list<std::pair<int, int64_t>> stretches) {
    std::vector<int64_t> rows;
    for (const auto& [layers, count] : stretches) rows.insert(rows.end(), static_cast<std::size_t>(layers), count);
    return rows;
  };
  for (const char* plan : {"divprune", "conditional-dpp", "class-attention", "visionzip"})
    EXPECT_EQ(kept(plan), steps({{32, 192}})) << plan;
  for (const char* plan : {"prumerge-plus", "pooled-picture"}) EXPECT_EQ(kept(plan), steps({{32, 144}})) << plan;
  for (const char* plan : {"dart", "k-norm"}) EXPECT_EQ(kept(plan), steps({{2, 576}, {30, 288}})) << plan;
  EXPECT_EQ(kept("v2drop"), steps({{3, 576}, {14, 288}, {5, 144}, {10, 1}}));
  EXPECT_EQ(kept("text-attention"), steps({{3, 576}, {4, 300}, {9, 200}, {16, 110}}));
  EXPECT_EQ(kept("vtw"), steps({{16, 576}, {16, 0}}));
  EXPECT_EQ(kept("pyramiddrop"), steps({{8, 576}, {8, 288}, {8, 144}, {8, 72}}));
  EXPECT_EQ(kept("late-entry"), steps({{8, 0}, {1, 576}, {2, 288}, {2, 144}, {11, 72}, {8, 0}}));
}

TEST(Builtin, PlansFitModelsOfAnyDepth) {
  for (int64_t layers = 2; layers <= 48; ++layers) {
    ModelFacts model = shape_named("llava-1.5-7b");
    model.layers = layers;
    for (const About& about : builtin_plans()) {
      if (about.trained) continue;  // for one depth
      if (layers <= 2 && std::string(about.name) != "dense") continue;
      EXPECT_NO_THROW(load_plan(about.name, model)) << about.name << ", " << layers << " layers";
    }
  }
}

TEST(Builtin, KeysOfTheNewMethods) {
  const ModelFacts model = shape_named("llava-1.5-7b");
  const auto parse = [&](const char* text) { return parse_plan(parse_json(text, "plan"), "plan", model); };
  const Plan dart = parse(R"({"method": "dart", "layer": 3, "keep_count": 64})");
  EXPECT_EQ(dart.layers.front().layer, 3);
  EXPECT_EQ(dart.layers.front().rules.front().keep_count, 64);
  const Plan vtw = parse(R"({"method": "vtw", "layer": 20})");
  EXPECT_EQ(vtw.layers.front().layer, 20);
  EXPECT_TRUE(keeps_none(vtw.layers.front().rules.front()));
  const Plan late = parse(R"({"method": "late-entry", "enter": 4, "exit": 9, "layers": [6], "by": "random"})");
  EXPECT_EQ(std::ssize(late.layers), 6);
  EXPECT_TRUE(late.layers[3].rules.front().others_return);
  EXPECT_EQ(late.layers[4].rules.front().by, "random");
  EXPECT_THROW(parse(R"({"method": "late-entry", "enter": 9, "exit": 9})"), Error);
  EXPECT_THROW(parse(R"({"method": "late-entry", "enter": 4, "exit": 9, "layers": [4]})"), Error);
  EXPECT_THROW(parse(R"({"method": "visionzip", "keep_count": 64})"), Error);
}

}  // namespace
}  // namespace lithe::plan
