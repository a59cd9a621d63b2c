#include "plan/cost.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "plan/block_widths.h"
#include "plan/count.h"

namespace lithe::plan {
namespace {

constexpr double kMultiplyAdd = 2.0;

double block_flops(const BlockWidths& block, const RowCount& rows) {
  const double query_and_output = double(rows.query) * 2.0 * block.hidden * block.query;
  const double key_and_value = double(rows.key_value) * 2.0 * block.hidden * block.key_value;
  const double scores_and_sum = double(rows.pairs) * 2.0 * block.query;
  const double feed_forward = double(rows.feed_forward) * block.hidden * block.feed_forward_width();
  const double choosing = double(rows.routed) * block.hidden + double(rows.probed) * block.query +
                          double(rows.compared) * block.hidden + double(rows.folded) +
                          double(rows.tower_compared) * block.tower + double(rows.tower_probed) * block.tower_head +
                          double(rows.reprojected) * block.projector;
  return kMultiplyAdd * (query_and_output + key_and_value + scores_and_sum + feed_forward + choosing);
}

std::vector<LayerCost> walk_layers(const Plan& plan, const std::string& stream, int64_t layers, RowWalk walk,
                                   const BlockWidths& block) {
  std::vector<LayerCost> result;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const LayerPlan* entry = plan.find(stream, layer);
    LayerCost cost{.stream = stream, .layer = layer, .self_attention = entry == nullptr || entry->self_attention};
    cost.rows = walk.next(entry);
    cost.flops = block_flops(block, cost.rows);
    result.push_back(cost);
  }
  return result;
}

std::vector<LayerCost> decoder_layers(const Plan& plan, const ModelFacts& model, const PromptShape& prompt,
                                      const CostOptions& options) {
  auto layers = walk_layers(plan, "decoder", model.layers, RowWalk::of_prompt(prompt), decoder_widths(model));
  const int64_t row_bytes =
      2 * model.kv_heads * (model.head_dim * options.kv_bytes_per_value + options.kv_bytes_beside);
  for (LayerCost& layer : layers) layer.kv_bytes = layer.rows.cache * row_bytes;
  return layers;
}

std::vector<LayerCost> tower_layers(const Plan& plan, const ModelFacts& model, const PromptShape& prompt) {
  if (!model.tower || prompt.tiles == 0) return {};
  const TowerFacts& tower = *model.tower;
  return walk_layers(plan, "vision_tower", tower.layers, RowWalk::of_tile(tower.tokens), tower_widths(tower));
}

double sum_of(const std::vector<LayerCost>& layers) {
  double sum = 0;
  for (const LayerCost& layer : layers) sum += layer.flops;
  return sum;
}

double tower_flops(const std::vector<LayerCost>& layers, const ModelFacts& model, const PromptShape& prompt) {
  if (!model.tower) return 0;
  const TowerFacts& tower = *model.tower;
  const double patch_values = double(tower.channels) * double(tower.patch) * double(tower.patch);
  const double embedding = kMultiplyAdd * double(tower.patches) * patch_values * double(tower.width);
  return double(prompt.tiles) * (embedding + sum_of(layers));
}

/// The projector runs over every row that leaves the tower, before the picture is unpadded.
double projector_flops(const ModelFacts& model, const PromptShape& prompt) {
  const double rows =
      model.tower ? double(prompt.tiles) * double(model.tower->rows_out()) : double(prompt.vision_tokens);
  return kMultiplyAdd * rows * projector_products(model);
}

CostTotal total_of(const std::vector<LayerCost>& tower, const std::vector<LayerCost>& layers, const ModelFacts& model,
                   const PromptShape& prompt) {
  CostTotal total;
  total.tower = tower_flops(tower, model, prompt);
  total.projector = projector_flops(model, prompt);
  total.decoder = sum_of(layers);
  const bool has_rows = prompt.vision_tokens + prompt.text_tokens > 0;
  total.head = has_rows ? kMultiplyAdd * double(model.hidden) * double(model.vocab) : 0.0;
  total.flops = total.tower + total.projector + total.decoder + total.head;
  for (const LayerCost& layer : layers) {
    total.kv_bytes += layer.kv_bytes;
    total.kv_rows += layer.rows.cache;
    total.vision_kv_rows += layer.rows.vision_cache;
  }
  return total;
}

/// Down, and up through blocks whose two paths are mixed once per request; the token mean and the gate take one row.
double adapter_flops(const AdapterFacts& adapter, double hidden, int64_t rows) {
  const double down = hidden * double(adapter.rank), up = down / double(adapter.groups);
  const double per_request = (adapter.replaces_attention ? down : 0.0) + 2.0 * hidden;
  return kMultiplyAdd * (double(rows) * (down + up) + (rows > 0 ? per_request : 0.0));
}

/// Rows that go through a product with LoRA, over all tiles.
int64_t rows_through(const LowRankFacts& product, const CostTable& table, const ModelFacts& model) {
  if (product.rows == LowRankFacts::Rows::last) return table.total.head > 0 ? 1 : 0;
  if (product.rows == LowRankFacts::Rows::projected)
    return model.tower ? table.prompt.tiles * model.tower->rows_out() : 0;
  const bool in_tower = product.site.stream == "vision_tower";
  const std::vector<LayerCost>& layers = in_tower ? table.tower : table.layers;
  if (layers.empty()) return 0;  // no picture
  const RowCount& rows = layers.at(static_cast<std::size_t>(product.site.layer)).rows;
  const int64_t tiles = in_tower ? table.prompt.tiles : 1;
  if (product.rows == LowRankFacts::Rows::query) return tiles * rows.query;
  return tiles * (product.rows == LowRankFacts::Rows::key_value ? rows.key_value : rows.feed_forward);
}

void add_adapter(const AdapterFacts& adapter, const CostTable& table, const ModelFacts& model, AdapterCost& cost) {
  const bool in_tower = adapter.site.stream == "vision_tower";
  const std::vector<LayerCost>& layers = in_tower ? table.tower : table.layers;
  if (layers.empty()) return;  // no picture
  const BlockWidths block = in_tower ? tower_widths(*model.tower) : decoder_widths(model);
  const LayerCost& layer = layers.at(static_cast<std::size_t>(adapter.site.layer));
  if (adapter.replaces_attention == layer.self_attention)
    return;  // a PIA runs if its attention is off, others if it is on
  const RowCount& rows = layer.rows;
  const double times = in_tower ? double(table.prompt.tiles) : 1.0;
  if (adapter.replaces_attention) {
    cost.replacing += times * adapter_flops(adapter, block.hidden, rows.feed_forward);
    cost.replacing_beside +=
        times * kMultiplyAdd * double(rows.feed_forward) * block.hidden * block.feed_forward_width();
  } else {
    cost.before += times * adapter_flops(adapter, block.hidden, rows.run);
    cost.before_beside +=
        times * kMultiplyAdd * double(rows.run) * 2.0 * block.hidden * (block.query + block.key_value);
  }
}

AdapterCost adapter_cost(const CostTable& table, const ModelFacts& model) {
  AdapterCost cost;
  for (const AdapterFacts& adapter : model.adapters) add_adapter(adapter, table, model, cost);
  for (const LowRankFacts& product : model.low_rank) {
    cost.low_rank += kMultiplyAdd * double(rows_through(product, table, model)) * double(product.parameters);
  }
  cost.low_rank_beside = table.total.flops;
  return cost;
}

void check_prompt(const PromptShape& prompt, const CostOptions& options) {
  const auto bound = [](const char* what, int64_t value, int64_t most) {
    require(value >= 0 && value <= most, Fault::bad_request, what, " is ", value, ", expected 0 to ", most);
  };
  bound("the number of vision tokens", prompt.vision_tokens, kMaxRows);
  bound("the number of text tokens", prompt.text_tokens, kMaxRows);
  bound("the number of high-resolution tokens", prompt.high_res_tokens, prompt.vision_tokens);
  bound("the number of text tokens before the picture", prompt.text_before, prompt.text_tokens);
  bound("the number of tiles", prompt.tiles, kMaxRows);
  require(options.kv_bytes_per_value >= 1 && options.kv_bytes_per_value <= 8, Fault::bad_request,
          "a cached value takes 1 to 8 bytes, not ", options.kv_bytes_per_value);
}

void check_streams(const Plan& plan) {
  for (const LayerPlan& entry : plan.layers) {
    require(entry.stream == "decoder" || entry.stream == "vision_tower", Fault::bad_request, "plan '", plan.name,
            "': ", entry.stream, " layer ", entry.layer, ": only the decoder and the vision tower can be counted");
  }
}

}  // namespace

PromptShape prompt_of(const ModelFacts& model, int64_t vision_tokens, int64_t text_tokens) {
  PromptShape prompt{.vision_tokens = vision_tokens, .text_tokens = text_tokens, .tiles = vision_tokens > 0 ? 1 : 0};
  if (!model.tower || model.tower->rows_out() <= 0 || vision_tokens <= 0) return prompt;
  const int64_t patches = model.tower->rows_out();
  prompt.tiles = (vision_tokens - 1) / patches + 1;
  if (model.tower->max_tiles > 1) {
    prompt.tiles = std::min(prompt.tiles, model.tower->max_tiles);
    prompt.high_res_tokens = std::max<int64_t>(vision_tokens - patches, 0);
  }
  return prompt;
}

CostTable cost(const Plan& plan, const ModelFacts& model, const PromptShape& prompt, const CostOptions& options) {
  check(model);
  check_prompt(prompt, options);
  check_streams(plan);
  const Plan no_plan;
  CostTable table{.plan = plan.name, .model = model.name, .prompt = prompt};
  table.tower = tower_layers(plan, model, prompt);
  table.layers = decoder_layers(plan, model, prompt, options);
  table.dense_tower = tower_layers(no_plan, model, prompt);
  table.dense_layers = decoder_layers(no_plan, model, prompt, options);
  table.total = total_of(table.tower, table.layers, model, prompt);
  table.dense = total_of(table.dense_tower, table.dense_layers, model, prompt);
  table.adapters = adapter_cost(table, model);
  return table;
}

}  // namespace lithe::plan
