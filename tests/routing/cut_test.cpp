#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tensor.h>

#include <cmath>

#include "base/error.h"
#include "plan/rows.h"
#include "routing/twin.h"

// Layers that cut their rows into other sequences than their neighbours: a tower with window attention.
namespace lithe::routing {
namespace {

using test::expect_close;

const TinyShape kTower{.layers = 4, .hidden = 16, .heads = 2, .kv_heads = 2, .head_dim = 8, .inner = 24};
const ops::RopeConfig kRope{.head_dim = 8, .sections = {2, 2}, .layout = ops::RopeConfig::Layout::own_ladder};

/// Two pictures of 5 x 4 and 3 x 6 cells. Each is cut into windows of 2 x 2 cells, which lie scattered among its rows,
/// and, as a second cut, into its rows of cells.
struct Pictures {
  Batch batch;
  Tensor x;
};

Pictures pictures(Dice& dice, const plan::Plan* plan) {
  Pictures result;
  result.batch.cuts.resize(2);
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{5, 4}, {3, 6}}) {
    Places places(2);
    for (int64_t cell = 0; cell < height * width; ++cell) {
      const int64_t row = cell / width, column = cell % width;
      places[0].push_back(row);
      places[1].push_back(column);
      result.batch.cuts[0].push_back(row / 2 * 100 + column / 2);
      result.batch.cuts[1].push_back(row);
    }
    result.batch.add({.plan = plan}, std::vector(static_cast<size_t>(height * width), RowKind::vision), 0, places);
  }
  result.batch.angles = ops::rope_angles(kRope, result.batch.places);
  result.x = dice.normal({result.batch.rows(), kTower.hidden});
  return result;
}

/// Window attention, attention over everything, rows of cells, everything.
std::vector<Block> tower(Dice& dice) {
  std::vector<Block> blocks = random_blocks(dice, kTower);
  for (Block& block : blocks) std::get<nn::Attention>(block.sites[0].branch).causal = false;
  blocks[0].sites[0].cut = 0;
  blocks[2].sites[0].cut = 1;
  return blocks;
}

Tensor run(const std::vector<Block>& blocks, Batch batch, Tensor x) {
  Executor executor(std::move(batch), "vision_tower", static_cast<int64_t>(blocks.size()));
  for (size_t layer = 0; layer < blocks.size(); ++layer)
    x = executor.run(blocks[layer], static_cast<int64_t>(layer), x);
  return x;
}

/// The angle of each pair by its definition: pairs 0, 1 turn by the row, 2, 3 by the column.
Tensor turned(const Tensor& x, const Places& places) {  // [rows, 8]
  std::vector<Tensor> rows;
  for (int64_t row = 0; row < x.size(0); ++row) {
    std::vector<double> out(8);
    for (size_t pair = 0; pair < 4; ++pair) {
      const double frequency = pair % 2 == 0 ? 1.0 : std::pow(10000.0, -0.5);
      const double angle = static_cast<double>(places[pair / 2][static_cast<size_t>(row)]) * frequency;
      const double a = x[row][static_cast<int64_t>(pair)].item<double>(),
                   b = x[row][static_cast<int64_t>(pair) + 4].item<double>();
      out[pair] = a * std::cos(angle) - b * std::sin(angle);
      out[pair + 4] = b * std::cos(angle) + a * std::sin(angle);
    }
    rows.push_back(at::tensor(at::ArrayRef<double>(out), at::kDouble).unsqueeze(0));
  }
  return at::cat(rows);
}

/// One layer with an S x S mask; rows that are not kept skip it.
Tensor plain_layer(const Block& block, const Batch& batch, const Tensor& x, const std::vector<bool>& kept) {
  const auto& attention = std::get<nn::Attention>(block.sites[0].branch);
  const auto product = [](const nn::Linear& linear, const Tensor& t) {
    return t.matmul(linear.weight.widened(at::kDouble).t());
  };
  const size_t rows = kept.size();
  std::vector<double> seen, ran;
  const auto sequence = [&](size_t row) { return static_cast<int64_t>(row) >= batch.offsets[1]; };
  for (size_t q = 0; q < rows; ++q) {
    ran.push_back(kept[q] ? 1 : 0);
    for (size_t k = 0; k < rows; ++k) {
      const std::optional<size_t>& cut = block.sites[0].cut;
      const bool together = sequence(q) == sequence(k) && (!cut || batch.cuts[*cut][q] == batch.cuts[*cut][k]);
      seen.push_back(together && kept[k] ? 1 : 0);
    }
  }
  const auto count = static_cast<int64_t>(rows);
  const Tensor mask = at::tensor(at::ArrayRef<double>(seen), at::kDouble).view({count, count}),
               runs = at::tensor(at::ArrayRef<double>(ran), at::kDouble).unsqueeze(1);
  const Tensor input = plain_norm(block.sites[0].norm, x);
  std::vector<Tensor> heads;
  for (int64_t head = 0; head < 2; ++head) {
    const auto slice = [&](const nn::Linear& linear) { return product(linear, input).narrow(1, 8 * head, 8); };
    const Tensor q = turned(slice(attention.query), batch.places), k = turned(slice(attention.key), batch.places);
    const Tensor weights = (q.matmul(k.t()) / std::sqrt(8.0)).exp() * mask;
    heads.push_back((weights / weights.sum(1, true).clamp_min(1e-300)).matmul(slice(attention.value)));
  }
  const Tensor h = x + runs * product(attention.output, at::cat(heads, 1));
  const auto& mlp = std::get<nn::Mlp>(block.sites[1].branch);
  const Tensor fed = plain_norm(block.sites[1].norm, h);
  return h + runs * product(mlp.down, at::silu(product(*mlp.gate, fed)) * product(mlp.up, fed));
}

/// Rows that the selector `uniform` keeps in each picture.
std::vector<bool> kept_rows(const Batch& batch, const plan::Rule* rule) {
  std::vector<bool> kept(static_cast<size_t>(batch.rows()), rule == nullptr);
  for (size_t i = 0; rule && i + 1 < batch.offsets.size(); ++i) {
    const int64_t count = batch.offsets[i + 1] - batch.offsets[i];
    for (const int64_t row : plan::spread_rows(count, plan::kept_rows(*rule, count)))
      kept[static_cast<size_t>(batch.offsets[i] + row)] = true;
  }
  return kept;
}

void expect_equals_masks(const plan::Plan& plan, const std::string& what) {
  Dice dice(61);
  const std::vector<Block> blocks = tower(dice);
  const Pictures pair = pictures(dice, &plan);
  Tensor expected = pair.x;
  for (size_t layer = 0; layer < blocks.size(); ++layer) {
    const plan::LayerPlan* entry = plan.find("vision_tower", static_cast<int64_t>(layer));
    expected = plain_layer(blocks[layer], pair.batch, expected,
                           kept_rows(pair.batch, entry ? &entry->rules.front() : nullptr));
  }
  expect_close(run(blocks, pair.batch, pair.x), expected, 1e-6, what);  // the angles are float32
}

TEST(Cuts, WindowAttentionEqualsAMask) {
  expect_equals_masks({}, "dense");
}

TEST(Cuts, RowsThatSkipALayerAreMissingFromTheirWindow) {
  std::vector<plan::LayerPlan> layers;
  for (const int64_t layer : {0, 2, 3})
    layers.push_back({.stream = "vision_tower", .layer = layer, .rules = {rule(0.4, "uniform", kNothing)}});
  expect_equals_masks(plan_of(layers), "some rows skip");
}

TEST(Cuts, RowsThatLeaveTakeTheirPartsWithThem) {
  Dice dice(62);
  const std::vector<Block> blocks = tower(dice);
  const plan::Plan drops = plan_of(
      {{.stream = "vision_tower", .layer = 1, .rules = {rule(0.5, "uniform", kNothing, /*others_return=*/false)}}});
  // Rows that are gone: the same as a batch of the others from layer 1 on.
  const Pictures pair = pictures(dice, &drops);
  Executor executor(pair.batch, "vision_tower", 4);
  Tensor x = executor.run(blocks[0], 0, pair.x);
  x = executor.run(blocks[1], 1, x);
  const Batch rest = executor.batch();
  ASSERT_EQ(rest.rows(), 19);
  const Tensor expected = plain_layer(blocks[2], rest, x, std::vector<bool>(19, true));
  expect_close(executor.run(blocks[2], 2, x), expected, 1e-6, "the layer after");
}

TEST(Cuts, NoRuleChoosesByTheAttentionOfParts) {
  Dice dice(63);
  const std::vector<Block> blocks = tower(dice);
  const plan::Plan plan =
      plan_of({{.stream = "vision_tower", .layer = 1, .rules = {rule(0.5, "attention", kNothing)}}});
  const Pictures pair = pictures(dice, &plan);
  EXPECT_THROW(run(blocks, pair.batch, pair.x), Error);
}

}  // namespace
}  // namespace lithe::routing
