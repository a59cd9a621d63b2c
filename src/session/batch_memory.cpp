#include "session/batch_memory.h"

#include <algorithm>

#include "image/view_bytes.h"
#include "ops/attend_blocks.h"
#include "ops/key_value_kind.h"
#include "plan/cache_bound.h"

namespace lithe::session {
namespace {

constexpr int64_t kFloat = sizeof(float);
// Panels of widened weights and the matrix product's own space.
constexpr int64_t kWorkspace = int64_t{32} << 20;

/// Keys and values of a block of one layer.
int64_t block_bytes(const models::Model& model) {
  const models::DecoderConfig& config = model.decoder.config;
  const int64_t head = config.head_dim * model.decoder.cached_number_bytes() + ops::scale_bytes_of(model.decoder.cache);
  return config.kv_heads * ops::kBlockRows * 2 * head;
}

/// Whether a decoder layer attends, so that it caches rows.
bool caches(const plan::Plan& plan, int64_t layer) {
  const plan::LayerPlan* const entry = plan.find("decoder", layer);
  return !entry || entry->self_attention;
}

}  // namespace

int64_t embedding_bytes(const models::Model& model, int64_t rows) {
  return rows * model.decoder.config.hidden * kFloat;
}

int64_t cache_bytes(const models::Model& model, const plan::Plan& plan, const PromptRows& prompt, int64_t new_tokens) {
  const int64_t layers = model.decoder.config.layers;
  int64_t blocks = 0;
  const std::vector<int64_t> rows = plan::most_rows_cached(plan, layers, prompt.kinds);
  for (int64_t layer = 0; layer < layers; ++layer) {
    if (caches(plan, layer)) blocks += ops::blocks_for(rows[static_cast<size_t>(layer)] + new_tokens);
  }
  return blocks * block_bytes(model);
}

int64_t branch_bytes(const models::Model& model, const plan::Plan& plan, const PromptRows& prompt, int64_t new_tokens,
                     int64_t further) {
  if (model.decoder.one_block_per_sequence())
    return (copies_of_prompt(further + 1, true) - 1) * cache_bytes(model, plan, prompt, new_tokens);
  const int64_t layers = model.decoder.config.layers;
  int64_t attending = 0;
  for (int64_t layer = 0; layer < layers; ++layer) attending += caches(plan, layer) ? 1 : 0;
  return further * attending * ops::blocks_for(new_tokens + ops::kBlockRows - 1) * block_bytes(model);
}

int64_t dense_cache_bytes(const models::Model& model, int64_t prompt_rows, int64_t new_tokens) {
  return model.decoder.config.layers * ops::blocks_for(prompt_rows + new_tokens) * block_bytes(model);
}

int64_t pass_bytes(const models::Model& model, const Load& load) {
  const models::DecoderConfig& config = model.decoder.config;
  const int64_t heads = config.heads + 2 * config.kv_heads, rows = load.joining_rows + load.sequences;
  // What enters, the active rows, the sum so far and its norm, each before and after a join; queries, keys and values
  // before and after rotation with what comes out of the attention; or the three inner rows of the feed-forward
  // network. Attention of few rows keeps sums for each stretch of keys.
  const int64_t branch = std::max(3 * heads * config.head_dim, 3 * config.intermediate);
  const int64_t stretches = load.longest / ops::kStretchRows + 1;
  const int64_t tile = ops::tile_rows(model.decoder.cache);
  const int64_t sums = std::min(rows, load.sequences * tile) * config.heads * (config.head_dim + 2) * stretches;
  const int64_t indices = 64 * static_cast<int64_t>(sizeof(int64_t));
  return rows * ((8 * config.hidden + branch) * kFloat + indices) + sums * kFloat +
         3 * load.sequences * config.vocab * kFloat + kWorkspace;
}

int64_t worst_case(const models::Model& model, const Load& load) {
  return load.caches + embedding_bytes(model, load.joining_rows + load.ready_rows) + pass_bytes(model, load);
}

void PictureNeeds::add(const models::Model& model, const Request& request) {
  if (!model.vision) return;
  const auto count = static_cast<int64_t>(request.images.size());
  for (const image::Source& picture : request.images) {
    const int64_t more = model.vision->tiles(picture.header().size, count);
    preparing_bytes = std::max(preparing_bytes, session::preparing_bytes(model, picture, count));
    most_tiles = std::max(most_tiles, more);
    tiles += more;
    rows += model.vision->most_rows(more);
  }
}

int64_t encode_bytes(const models::Model& model, int64_t tiles) {
  if (tiles == 0) return 0;
  const models::VisionTowerConfig& tower = model.seeing().tower.config;
  const int64_t row = 8 * tower.width + std::max(4 * tower.width, 2 * tower.mlp) + 3 * model.decoder.config.hidden;
  const int64_t pixels = 3 * tower.channels * tower.image.width * tower.image.height;
  return tiles * (tower.rows() * row + pixels) * kFloat + kWorkspace;
}

int64_t prepared_bytes(const models::Vision& vision, int64_t tiles) {
  const models::VisionTowerConfig& tower = vision.tower.config;
  constexpr int64_t kViews = 2;  // the tile in 8 bits, and its part of the canvas
  return tiles * tower.channels * tower.image.width * tower.image.height * (kFloat + kViews);
}

int64_t preparing_bytes(const models::Model& model, const image::Source& picture, int64_t pictures) {
  const image::Header& header = picture.header();
  if (!model.vision) return header.decoding_bytes;
  constexpr int64_t kPixelBytes = 3;
  // Pixels that were given as such are there anyway.
  const int64_t pixels = header.decoding_bytes > 0 ? header.size.width * header.size.height * kPixelBytes : 0;
  const int64_t views = image::view_making_bytes(header.size, model.vision->preprocess, pictures);
  return std::max(header.decoding_bytes, pixels + views);
}

int64_t tower_bytes(const models::Model& model, const Load& load, int64_t rows, int64_t tiles) {
  // The rows out of the tower, and the prompts that are made of them.
  return load.caches + embedding_bytes(model, load.joining_rows + load.ready_rows + 2 * rows) +
         encode_bytes(model, tiles);
}

}  // namespace lithe::session
