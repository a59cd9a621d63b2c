#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/parts/adapters.h"
#include "models/parts/weight_slot.h"
#include "ops/activation.h"
#include "ops/key_value_kind.h"
#include "ops/rope.h"
#include "routing/block.h"
#include "routing/executor.h"

namespace lithe::models {

using at::Tensor;

/// The shape of a LLaMA-like decoder (LLaMA, Vicuna, Mistral, Qwen2), as config.json gives it.
struct DecoderConfig {
  int64_t layers = 0, hidden = 0, intermediate = 0, heads = 0, kv_heads = 0, head_dim = 0, vocab = 0;
  int64_t max_positions = 0;
  double norm_eps = 1e-5;
  ops::Activation activation = ops::Activation::silu;
  ops::RopeConfig rope;
  std::optional<int64_t> window;  ///< Sliding window (Mistral, Qwen2).
  int64_t window_from = 0;        ///< Of the layers from this one on.
  bool tied_embeddings = false;
  bool attention_bias = false;  ///< Of queries, keys and values.
  bool output_bias = false;     ///< Of the attention's output.
  bool mlp_bias = false;
  std::vector<int64_t> routers;  ///< Layers with a router, ascending.
  bool router_bias = true;
  EasLayers eas;
  /// LaVIN: a modality row stands before every prompt.
  bool modality = false;
  /// LaVIN as published: the first new token has the rotary place of the last one of the prompt, and so on.
  bool repeats_place = false;
};

/// Token embeddings, blocks, last norm and head.
struct Decoder {
  DecoderConfig config;
  nn::Weight embeddings;  ///< [vocab, hidden]
  std::vector<routing::Block> blocks;
  nn::Norm norm;
  nn::Linear head;
  std::optional<nn::Weight> modality;  ///< [2, hidden] of a prompt without a picture, of one with a picture
  ops::KeyValueKind cache = ops::KeyValueKind::float32;  ///< How keys and values are cached.
  bool recomputes = false;  ///< In training, a layer keeps its input only and runs again for its gradients.

  /// What a layer keeps of a sequence before its first row.
  nn::LayerState empty_state() const { return nn::LayerState(cache, one_block_per_sequence()); }
  /// How attention on a GPU reads keys and values.
  bool one_block_per_sequence() const { return embeddings.defined() && !embeddings.device().is_cpu(); }
  /// Bytes of one number of a cached key or value. On a GPU, a cache of float32 holds what products give, which has the
  /// type of their weights.
  int64_t cached_number_bytes() const;
  /// ids: [rows] int64 -> [rows, hidden] float32
  Tensor embed(const Tensor& ids) const;

  /// Rows before the first token of a prompt: LaVIN's modality row.
  int64_t rows_before() const { return modality ? 1 : 0; }

  /// What runs the blocks over a batch, whose angles are filled in here.  x: as forward() takes it
  routing::Executor executor(routing::Batch batch, const Tensor& x) const;
  /// Runs every block. The batch's angles are filled in here.  x: [rows, hidden] -> [rows alive at the end, hidden]
  /// `alive`, if given, receives the batch as it leaves the last layer.
  Tensor forward(routing::Batch batch, Tensor x, const routing::Observer& observer = {},
                 routing::Batch* alive = nullptr) const;

  /// x: [rows, hidden], after the last block -> [rows, vocab] float32
  Tensor logits(const Tensor& x, const nn::RowNotes& notes = {}) const;
};

/// A decoder of this shape whose tensors are still to be filled.
Decoder shaped_decoder(const DecoderConfig& config);

/// Every weight, once: tied embeddings come as embeddings, and norms that a stand-in shares as those of the layer.
void visit(Decoder& decoder, const WeightVisitor& visitor);

/// Lets the head use the embeddings if they are tied, and stand-ins the norms of their layers. To be called when the
/// tensors are filled.
void tie(Decoder& decoder);

}  // namespace lithe::models
