#pragma once

#include "plan/facts.h"

namespace lithe::plan {

/// The widths of a block's products, for one row.
struct BlockWidths {
  double hidden = 0;
  double query = 0;      ///< heads * head_dim
  double key_value = 0;  ///< kv_heads * head_dim, of keys and of values
  double inner = 0;      ///< Of the feed-forward network.
  double feed_forward_products = 0;
  // Of what comes before a decoder, for selectors that look at pictures.
  double tower = 0;       ///< width
  double tower_head = 0;  ///< width of a head
  double projector = 0;   ///< products of a row

  double feed_forward_width() const { return inner * feed_forward_products; }  ///< Of all its products.
};

/// Multiplications of the projector for one row.
inline double projector_products(const ModelFacts& model) {
  const auto& widths = model.projector.widths;
  double products = 0;
  for (std::size_t i = 1; i < widths.size(); ++i) products += double(widths[i - 1]) * double(widths[i]);
  return products;
}

/// The feed-forward network of a decoder is gated, so it has three products.
inline BlockWidths decoder_widths(const ModelFacts& model) {
  BlockWidths block{.hidden = double(model.hidden),
                    .query = double(model.heads * model.head_dim),
                    .key_value = double(model.kv_heads * model.head_dim),
                    .inner = double(model.intermediate),
                    .feed_forward_products = 3,
                    .projector = projector_products(model)};
  if (model.tower && model.tower->heads > 0) {
    block.tower = double(model.tower->width);
    block.tower_head = double(model.tower->width / model.tower->heads);
  }
  return block;
}

inline BlockWidths tower_widths(const TowerFacts& tower) {
  const auto width = double(tower.width);
  return {.hidden = width, .query = width, .key_value = width, .inner = double(tower.mlp), .feed_forward_products = 2};
}

}  // namespace lithe::plan
