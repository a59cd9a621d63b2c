#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "models/meter/text_encoder.h"
#include "nn/linear.h"
#include "plan/plan.h"
#include "routing/block.h"

namespace lithe::models {

/// The shape of METER's two streams: as many layers each, all alike.
struct StreamsConfig {
  int64_t layers = 0;
  BertLayerConfig layer{.cross_attention = true};
  int64_t text_width = 0, image_width = 0;  ///< Of what the encoders give.
  int64_t token_types = 2;   ///< Text, picture, and for NLVR2 a second picture; without a row of its own it has the
                             ///< first picture's.
  bool class_token = false;  ///< EAS: a learnt row takes the place of a text's first.
};

/// The way into a stream, its layers, and the way out.
struct Stream {
  nn::Linear transform;  ///< [hidden, width of the encoder]
  std::vector<routing::Block> blocks;
  nn::Linear pooler;  ///< [hidden, hidden], of a sequence's first row, before tanh
};

/// A text and a picture that the streams see together, by their numbers.
struct Pair {
  size_t text = 0, image = 0;
  int64_t image_type = 1;  ///< 2: the second picture of NLVR2.
  /// In training, what dropout draws from, of all pairs or of none; absent: nothing is left out.
  std::optional<uint64_t> draw = std::nullopt;
};

/// What the streams made of pairs.
struct FusedRows {
  TextRows text;  ///< Hidden states of each pair's text.
  Tensor image;   ///< [pairs, rows of a picture, hidden]
  Tensor pooled;  ///< [pairs, 2 * hidden] tanh of both poolers, text first: what most heads read.
};

/// Called after each layer.  text: [rows, hidden], image: [rows, hidden]
using StreamObserver = std::function<void(int64_t layer, const Tensor& text, const Tensor& image)>;

/// METER's co-attention (arXiv 2111.02387): two streams whose layers read each other's rows as they were before the
/// layer. Plans call them `text` and `image`.
struct Streams {
  StreamsConfig config;
  Stream text, image;
  nn::Weight token_types;             ///< [types, hidden]
  std::optional<Tensor> class_token;  ///< [1, 1, hidden]

  /// The encoder's rows as those of the stream `text`.
  TextRows enter(const TextRows& encoded) const;
  /// Still without the type of the picture.  features: [pictures, rows, width] -> [pictures, rows, hidden]
  Tensor enter(const Tensor& features) const;

  FusedRows fuse(const TextRows& texts, const Tensor& images, std::span<const Pair> pairs,
                 const plan::Plan* plan = nullptr, const StreamObserver& observer = {}) const;
  /// A plan for fuse() if only FusedRows::pooled is read: as `plan`, but the last layer runs for the rows that the
  /// poolers read, and for keys and values.
  plan::Plan for_poolers(const plan::Plan& plan) const;
};

/// Streams of this shape whose tensors are still to be filled.
Streams shaped_streams(const StreamsConfig& config);

/// Every weight.
void visit(Streams& streams, const WeightVisitor& visitor);

}  // namespace lithe::models
