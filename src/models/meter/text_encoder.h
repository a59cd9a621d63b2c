#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "models/meter/bert_layer.h"
#include "nn/norm.h"
#include "nn/weight.h"
#include "plan/plan.h"
#include "routing/batch.h"

namespace lithe::models {

using at::Tensor;

/// The shape of RoBERTa (arXiv 1907.11692).
struct TextEncoderConfig {
  int64_t layers = 0, vocab = 0;
  int64_t positions = 0;  ///< Rows of the table of positions; the first token of a text has that after `pad_id`.
  int64_t token_types = 1;
  int64_t pad_id = 1;
  BertLayerConfig layer{.norm_eps = 1e-5};
};

/// One text as ids, with the marks of its beginning and end.
struct TextIds {
  std::vector<int64_t> ids;
  int64_t padding = 0;  ///< So many of the ids, the last, are padding: they offer no keys.
};

/// Rows of texts one after another.
struct TextRows {
  Tensor hidden;                 ///< [rows, width]
  std::vector<int64_t> offsets;  ///< [texts + 1]
  std::vector<routing::RowKind> kinds;
};

/// RoBERTa without its pooler. Its layers run through the executor, as stream `text_encoder`.
struct TextEncoder {
  TextEncoderConfig config;
  nn::Weight embeddings;   ///< [vocab, width]
  nn::Weight positions;    ///< [positions, width]
  nn::Weight token_types;  ///< [types, width], of which every row has the first.
  nn::Norm norm;
  std::vector<routing::Block> blocks;

  /// Throws Error{bad_request} for an empty text, one that is too long, or an id outside the vocabulary.
  TextRows forward(std::span<const TextIds> texts, const plan::Plan* plan = nullptr) const;

  /// What goes into the first layer: tokens, positions, norm.  -> [rows, width]. Throws as forward.
  Tensor embed(std::span<const TextIds> texts) const;
};

/// An encoder of this shape whose tensors are still to be filled.
TextEncoder shaped_text_encoder(const TextEncoderConfig& config);

/// Every weight.
void visit(TextEncoder& encoder, const WeightVisitor& visitor);

}  // namespace lithe::models
