#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/facts.h"
#include "plan/plan.h"

/// What a plan costs, counted without running it. The rule is in docs/counting.md: a multiply-add is two operations;
/// matrix products are counted, elementwise work is not; causal attention is the triangle; the head runs for one row.
namespace lithe::plan {

/// Most rows of a prompt that are counted.
constexpr int64_t kMaxRows = int64_t{1} << 20;

/// A prompt by its rows, in this order: text_before, vision (low resolution), vision (high resolution), the rest of the
/// text. The place of the text changes the count only if queries and keys of a layer differ.
struct PromptShape {
  int64_t vision_tokens = 0;    ///< Every vision row, high_res_tokens among them.
  int64_t high_res_tokens = 0;  ///< Rows of LLaVA-NeXT's tiles.
  int64_t text_tokens = 0;
  int64_t text_before = 0;  ///< Of text_tokens, those before the picture.
  int64_t tiles = 1;        ///< Squares that the vision tower encodes; 0 without a picture.
};

/// The prompt of one picture, or of several if each picture is one tile: tiles = vision tokens / patches, rounded up.
/// If a picture has several tiles, there are at most max_tiles, and all tokens after the first tile are high
/// resolution.
PromptShape prompt_of(const ModelFacts& model, int64_t vision_tokens, int64_t text_tokens);

struct CostOptions {
  int64_t kv_bytes_per_value = 2;  ///< 1 for int8, 2 for bfloat16 and float16, 4 for float32.
  int64_t kv_bytes_beside = 0;     ///< Of one head's key, or value: the scale of int8.
};

/// Rows of one layer (in a tower: of one tile) by what they run. `pairs` are the products of a query and a key that the
/// mask lets through, per head.
struct RowCount {
  int64_t alive = 0;  ///< Rows that enter the layer.
  int64_t run = 0;    ///< Rows that run anything.
  int64_t query = 0;  ///< 0 if the attention is off, as are key_value, cache and pairs.
  int64_t key_value = 0;
  int64_t cache = 0;
  int64_t feed_forward = 0;
  int64_t vision = 0;          ///< Vision rows that enter the layer.
  int64_t vision_kept = 0;     ///< Vision rows that the plan chose, or that no rule governs.
  int64_t vision_cache = 0;    ///< Vision rows that are cached.
  int64_t routed = 0;          ///< Rows that a router weighs.
  int64_t probed = 0;          ///< Products of a query and a row's key, of all heads, that selectors compute.
  int64_t compared = 0;        ///< Products of two rows that selectors compute.
  int64_t folded = 0;          ///< Further multiply-adds of selectors.
  int64_t tower_compared = 0;  ///< As `compared`, at the width of the vision tower.
  int64_t tower_probed = 0;    ///< The same at the width of one of its heads.
  int64_t reprojected = 0;     ///< Merged rows that go through the projector once more.
  int64_t pairs = 0;
  bool operator==(const RowCount&) const = default;
};

struct LayerCost {
  std::string stream = "decoder";
  int64_t layer = 0;
  bool self_attention = true;
  RowCount rows;
  double flops = 0;
  int64_t kv_bytes = 0;
  bool operator==(const LayerCost&) const = default;
};

/// Operations of one forward pass over the prompt, and bytes of keys and values held after it.
struct CostTotal {
  double tower = 0;
  double projector = 0;
  double decoder = 0;
  double head = 0;
  double flops = 0;  ///< Sum of the four.
  int64_t kv_bytes = 0;
  int64_t kv_rows = 0;         ///< Cached rows, summed over the decoder's layers.
  int64_t vision_kv_rows = 0;  ///< Of these, vision rows.
};

/// Operations of the adapters. They are in no total, because they belong to the weights, not to the plan. `.._beside`:
/// the operations of what an adapter runs before, in the same layers.
struct AdapterCost {
  double replacing = 0;         ///< PIAs.
  double replacing_beside = 0;  ///< ... the feed-forward networks after them.
  double before = 0;            ///< RepAdapters.
  double before_beside = 0;     ///< ... the projections of the attentions after them.
  double low_rank = 0;          ///< LoRA.
  double low_rank_beside = 0;   ///< ... the whole model.
};

struct CostTable {
  std::string plan;
  std::string model;
  PromptShape prompt;
  std::vector<LayerCost> tower;                      ///< Per tile.
  std::vector<LayerCost> layers;                     ///< The decoder.
  std::vector<LayerCost> dense_tower, dense_layers;  ///< The same layers of the dense plan.
  CostTotal total;
  CostTotal dense;  ///< The same prompt without a plan.
  AdapterCost adapters;
};

/// Counts a validated plan. Throws Error{bad_request} for a prompt with negative, contradictory or more than kMaxRows
/// rows, and for plans over streams whose widths the facts do not hold.
CostTable cost(const Plan& plan, const ModelFacts& model, const PromptShape& prompt, const CostOptions& options = {});

}  // namespace lithe::plan
