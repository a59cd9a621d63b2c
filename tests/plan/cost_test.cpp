#include "plan/cost.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "plan/parse.h"
#include "plan/rows.h"
#include "random_plan.h"
#include "refusal.h"

namespace lithe::plan {
namespace {

constexpr double kTera = 1e12;

CostTable cost_of(const std::string& plan, const std::string& shape, int64_t vision) {
  const ModelFacts model = shape_named(shape);
  return cost(load_plan(plan, model), model, prompt_of(model, vision, 40));
}

Plan everywhere(const Rule& rule, int64_t layers) {
  Plan plan;
  for (int64_t layer = 0; layer < layers; ++layer) plan.layers.push_back({.layer = layer, .rules = {rule}});
  return plan;
}

TEST(Cost, AgreesWithThePublishedFigures) {
  const CostTable next = cost_of("p-mod", "llava-next-7b", 2880);
  EXPECT_EQ(next.prompt.tiles, 5);
  EXPECT_EQ(next.prompt.high_res_tokens, 2304);
  EXPECT_NEAR(next.dense.flops / kTera, 42.0, 0.05);
  EXPECT_NEAR(next.total.flops / kTera, 23.4, 0.05);
  EXPECT_NEAR(next.total.flops / next.dense.flops, 0.558, 0.0005);
  const CostTable small = cost_of("p-mod", "llava-1.5-7b", 576);
  EXPECT_NEAR(small.dense.flops / kTera, 8.47, 0.005);
  EXPECT_NEAR(small.total.flops / kTera, 4.96, 0.005);
  for (const CostTable& table : {next, small}) {
    const double share = double(table.total.vision_kv_rows) / double(table.dense.vision_kv_rows);
    EXPECT_GE(share, 0.536);
    EXPECT_LE(share, 0.538);
  }
}

TEST(Cost, OfTheDensePlanIsDense) {
  const CostTable table = cost_of("dense", "llava-1.5-13b", 576);
  EXPECT_EQ(table.total.flops, table.dense.flops);
  EXPECT_EQ(table.total.kv_bytes, int64_t{40} * 616 * 2 * 5120 * 2);
  EXPECT_EQ(table.layers, table.dense_layers);
  EXPECT_EQ(table.dense.head, 2.0 * 5120 * 32000) << "one row";
}

TEST(Cost, OfShareOneIsDense) {
  const ModelFacts model = small_model(3);
  const PromptShape prompt{.vision_tokens = 10, .high_res_tokens = 4, .text_tokens = 7, .text_before = 2};
  const CostTable table = cost(everywhere({.keep_share = 1.0, .by = "uniform"}, 3), model, prompt);
  EXPECT_EQ(table.total.flops, table.dense.flops);
  EXPECT_EQ(table.total.kv_bytes, table.dense.kv_bytes);
  const CostTable routed = cost(everywhere({.keep_share = 1.0}, 3), model, prompt);
  EXPECT_EQ(routed.total.flops, table.dense.flops + 3 * 2.0 * 10 * 12) << "the router's products are counted";
}

TEST(Cost, RisesWithTheShare) {
  const ModelFacts model = small_model(4);
  for (const bool others_return : {true, false}) {
    double before = 0;
    int64_t bytes_before = 0;
    for (int percent = 0; percent <= 100; ++percent) {
      const Rule rule{.keep_share = percent / 100.0, .by = "uniform", .others_return = others_return};
      const CostTable table = cost(everywhere(rule, 4), model, {.vision_tokens = 50, .text_tokens = 9});
      EXPECT_GE(table.total.flops, before) << percent;
      EXPECT_GE(table.total.kv_bytes, bytes_before) << percent;
      before = table.total.flops;
      bytes_before = table.total.kv_bytes;
    }
  }
}

/// One row of the plain count below.
struct PlainRow {
  bool vision = false;
  bool high_res = false;
  bool alive = true;
  Switches runs;
};

bool in_group(const PlainRow& row, Group group) {
  if (group == Group::all) return true;
  if (group == Group::text) return !row.vision;
  return group == Group::vision ? row.vision : row.high_res;
}

/// What choosing k of n rows costs, if `text` text rows come after the first of them.
double plain_choice(const std::string& by, double n, double k, double text, const ModelFacts& model) {
  const double hidden = double(model.hidden), query = double(model.heads * model.head_dim);
  if (by == "router" || by == "similarity") return n * hidden;
  if (by == "attention") return n * query;
  if (k == 0) return 0;
  if (by == "text_attention") return n * text * (hidden + query);
  if (by == "duplication") return n * (std::min(k, 4.0) + std::min(text, 4.0)) * hidden;
  if (by == "diversity") return n * (n + k - 1) * hidden;
  if (by == "relevance") return n * (1 + k) * hidden + n * k * (k - 1) / 2;
  return 0;
}

/// Adds the products of one layer, row by row and pair by pair.
double plain_layer(std::vector<PlainRow>& rows, const LayerPlan& entry, const ModelFacts& model, int64_t& cached) {
  double multiply_adds = 0;
  std::vector<PlainRow*> free_rows;
  std::vector<PlainRow*> leaving;
  for (PlainRow& row : rows) {
    row.runs = row.alive ? Switches{} : Switches{false, false, false, false};
    if (row.alive) free_rows.push_back(&row);
  }
  for (const Rule& rule : entry.rules) {
    std::vector<PlainRow*> mine, rest;
    for (PlainRow* row : free_rows) (in_group(*row, rule.group) ? mine : rest).push_back(row);
    const auto n = static_cast<int64_t>(mine.size());
    if (!mine.empty()) {
      const auto text = std::count_if(rows.begin() + (mine.front() - rows.data()), rows.end(),
                                      [](const PlainRow& row) { return row.alive && !row.vision; });
      multiply_adds += plain_choice(rule.by, double(n), double(kept_rows(rule, n)), double(text), model);
    }
    std::vector<bool> chosen(mine.size(), false);
    for (const int64_t j : spread_rows(n, kept_rows(rule, n))) chosen[static_cast<std::size_t>(j)] = true;
    for (std::size_t i = 0; i < mine.size(); ++i) {
      if (chosen[i]) continue;
      mine[i]->runs = rule.others;
      if (!rule.others_return) leaving.push_back(mine[i]);
    }
    free_rows = rest;
  }
  const double hidden = double(model.hidden), query = double(model.heads * model.head_dim);
  const double key = double(model.kv_heads * model.head_dim);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].runs.feed_forward) multiply_adds += 3 * hidden * double(model.intermediate);
    if (!entry.self_attention) continue;
    if (rows[i].runs.query) multiply_adds += 2 * hidden * query;
    if (rows[i].runs.key_value) multiply_adds += 2 * hidden * key;
    if (rows[i].runs.cache) ++cached;
    for (std::size_t j = 0; j <= i; ++j) {
      if (rows[i].runs.query && rows[j].runs.key_value) multiply_adds += 2 * query;
    }
  }
  for (PlainRow* row : leaving) row->alive = false;
  return multiply_adds;
}

TEST(Cost, EqualsAPlainCountOverMasks) {
  const ModelFacts model = small_model(5);
  RandomPlans random(11);
  for (int round = 0; round < 200; ++round) {
    const Plan plan = random.plan(5);
    const int64_t vision = random.below(20);
    const int64_t text = random.below(12);
    const PromptShape prompt{.vision_tokens = vision,
                             .high_res_tokens = random.below(vision + 1),
                             .text_tokens = text,
                             .text_before = random.below(text + 1)};
    std::vector<PlainRow> rows(static_cast<std::size_t>(vision + text));
    for (int64_t i = 0; i < vision; ++i) {
      PlainRow& row = rows[static_cast<std::size_t>(prompt.text_before + i)];
      row.vision = true;
      row.high_res = i >= vision - prompt.high_res_tokens;
    }
    const CostTable table = cost(plan, model, prompt);
    for (const LayerCost& layer : table.layers) {
      int64_t cached = 0;
      const double expected = 2 * plain_layer(rows, *plan.find("decoder", layer.layer), model, cached);
      ASSERT_EQ(layer.flops, expected) << to_json(plan).dump() << " layer " << layer.layer;
      ASSERT_EQ(layer.rows.cache, cached);
      ASSERT_EQ(layer.kv_bytes, cached * 2 * 1 * 4 * 2);
    }
  }
}

TEST(Cost, CountsEverySwitch) {
  const auto layer_20 = [](const char* plan) { return cost_of(plan, "llava-1.5-7b", 576).layers[20]; };
  const LayerCost shortv = layer_20("shortv");
  EXPECT_EQ(shortv.rows.query, 40);
  EXPECT_EQ(shortv.rows.key_value, 616);
  EXPECT_EQ(shortv.rows.cache, 616);
  EXPECT_EQ(shortv.rows.feed_forward, 40);
  EXPECT_EQ(shortv.rows.pairs, 40 * 576 + 40 * 41 / 2) << "the text stands after the picture";
  EXPECT_EQ(layer_20("vision-attention-skip").rows.feed_forward, 616);
  const LayerCost kv = layer_20("kv-compression");
  EXPECT_EQ(kv.rows.cache, 40 + 288);
  EXPECT_EQ(kv.rows.query, 616);
  const LayerCost eas = layer_20("eas");
  EXPECT_FALSE(eas.self_attention);
  EXPECT_EQ(eas.rows.query + eas.rows.key_value + eas.rows.cache + eas.rows.pairs, 0);
  EXPECT_EQ(eas.rows.feed_forward, 616);
  const CostTable fastv = cost_of("fastv", "llava-1.5-7b", 576);
  EXPECT_EQ(fastv.layers[1].rows.alive, 616);
  EXPECT_EQ(fastv.layers[2].rows.run, 328);
  EXPECT_EQ(fastv.layers[2].rows.probed, 576);
  EXPECT_EQ(fastv.layers[3].rows.alive, 328) << "dropped for good";
  const CostTable pyramid = cost_of("pyramiddrop", "llava-1.5-7b", 576);
  EXPECT_EQ(pyramid.layers[31].rows.vision, 72);
}

TEST(Cost, OfEveryNamedPlanLiesBelowDense) {
  for (const std::string& name : builtin_plan_names()) {
    if (name == "dense") continue;
    SCOPED_TRACE(name);
    const CostTable table = cost_of(name, "llava-1.5-7b", 576);
    // Compressing the cache saves no products, it adds those of its selector.
    const double most = name == "kv-compression" ? 1.001 : 0.98;
    EXPECT_LT(table.total.flops, table.dense.flops * most);
    EXPECT_GT(table.total.flops, table.dense.flops * 0.2);
    EXPECT_LE(table.total.kv_bytes, table.dense.kv_bytes);
  }
}

TEST(Cost, CountsPlansOverTheVisionTower) {
  const ModelFacts model = shape_named("llava-next-7b");
  const Plan plan{.layers = {{.stream = "vision_tower", .layer = 3, .self_attention = false}}};
  const CostTable table = cost(plan, model, prompt_of(model, 2880, 40));
  const double attention = 2.0 * (577.0 * 4 * 1024 * 1024 + 577.0 * 577 * 2 * 1024);
  EXPECT_DOUBLE_EQ(table.dense.tower - table.total.tower, 5 * attention) << "full attention, five tiles";
  EXPECT_EQ(table.tower.at(3).rows.query, 0);
}

TEST(Cost, CountsTheAdapterThatThePlanPicks) {
  ModelFacts model = small_model(2);
  const int64_t rank = 4, rows = 17;
  model.adapters = {{.site = {.layer = 1}, .replaces_attention = true, .rank = rank},
                    {.site = {.layer = 1}, .replaces_attention = false, .rank = rank}};
  const PromptShape prompt{.vision_tokens = 10, .text_tokens = 7};
  const double hidden = 12, products = 2.0 * rows * (hidden * rank + hidden * rank / 2), gate = 2.0 * 2 * hidden;
  const AdapterCost on = cost({}, model, prompt).adapters;
  EXPECT_EQ(on.replacing, 0);
  EXPECT_EQ(on.before, products + gate);
  const AdapterCost off = cost({.layers = {{.layer = 1, .self_attention = false}}}, model, prompt).adapters;
  EXPECT_EQ(off.replacing, products + gate + 2.0 * hidden * rank) << "and the token mean";
  EXPECT_EQ(off.before, 0);
}

TEST(Cost, OfAPromptWithoutAPicture) {
  const ModelFacts model = shape_named("llava-1.5-7b");
  const CostTable table = cost({}, model, prompt_of(model, 0, 12));
  EXPECT_EQ(table.prompt.tiles, 0);
  EXPECT_EQ(table.total.tower + table.total.projector, 0);
  EXPECT_EQ(cost({}, model, prompt_of(model, 0, 0)).total.flops, 0);
  EXPECT_EQ(prompt_of(model, 1152, 1).tiles, 2) << "two pictures";
  EXPECT_EQ(prompt_of(shape_named("llava-next-7b"), 2928, 1).tiles, 5) << "newline rows are not a sixth tile";
}

TEST(Cost, RefusesImpossiblePrompts) {
  const ModelFacts model = small_model(2);
  EXPECT_REFUSED(cost({}, model, {.vision_tokens = -1}), Fault::bad_request, "the number of vision tokens is -1");
  EXPECT_REFUSED(cost({}, model, {.text_tokens = int64_t{1} << 40}), Fault::bad_request, "the number of text tokens");
  EXPECT_REFUSED(cost({}, model, {.vision_tokens = 3, .high_res_tokens = 4}), Fault::bad_request,
                 "high-resolution tokens is 4");
  EXPECT_REFUSED(cost({}, model, {.text_tokens = 3, .text_before = 4}), Fault::bad_request, "before the picture is 4");
  EXPECT_REFUSED(cost({}, model, {.text_tokens = 3}, {.kv_bytes_per_value = 0}), Fault::bad_request,
                 "a cached value takes 1 to 8 bytes");
  EXPECT_REFUSED(cost({.layers = {{.stream = "text"}}}, model, {}), Fault::bad_request,
                 "text layer 0: only the decoder and the vision tower");
}

}  // namespace
}  // namespace lithe::plan
