#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "image/image.h"
#include "models/parts/adapters.h"
#include "models/parts/weight_slot.h"
#include "ops/activation.h"
#include "plan/plan.h"
#include "routing/batch.h"
#include "routing/block.h"
#include "routing/run_block.h"

namespace lithe::models {

using at::Tensor;

/// The shape of a vision transformer and which of its features LLaVA reads. CLIP (arXiv 2103.00020) and SigLIP (arXiv
/// 2303.15343) differ in what this says and in nothing else.
struct VisionTowerConfig {
  int64_t layers = 0;      ///< In the checkpoint.
  int64_t layers_run = 0;  ///< Blocks that the chosen features need: hidden_states[-2] leaves out the last.
  int64_t width = 0, mlp = 0, heads = 0;
  image::Size image;  ///< Pixels of a tile.
  int64_t patch_px = 0, channels = 3;
  double norm_eps = 1e-5;
  ops::Activation activation = ops::Activation::quick_gelu;
  bool class_token = true;        ///< A row before the patches.
  bool pre_norm = true;           ///< A norm before the first block.
  bool patch_bias = false;        ///< Of the patch embedding.
  bool keep_class_token = false;  ///< `cls_patch` or `full` instead of `patch` or `default`.
  /// LaVIN: the features are the class token after every so many blocks, and no patches. 0: the features of the last.
  int64_t class_tokens_every = 0;
  EasLayers eas;

  image::Size grid() const { return {image.width / patch_px, image.height / patch_px}; }  ///< Patches of a tile.
  int64_t patches() const { return grid().width * grid().height; }
  int64_t rows() const { return patches() + (class_token ? 1 : 0); }  ///< Inside the tower, per tile.
  /// Out of the tower, per tile.
  int64_t tokens() const {
    return class_tokens_every > 0 ? layers_run / class_tokens_every : patches() + (keep_class_token ? 1 : 0);
  }
};

/// A vision transformer. Its blocks run through the same executor as a decoder's (stream `vision_tower`).
struct VisionTower {
  VisionTowerConfig config;
  nn::Linear patches;                     ///< [width, channels * patch_px * patch_px]
  std::optional<Tensor> class_embedding;  ///< [width]
  Tensor positions;                       ///< [rows, width]
  std::optional<nn::Norm> pre_norm;
  std::vector<routing::Block> blocks;  ///< layers_run of them
  bool recomputes = false;             ///< As the decoder's.

  /// pixels: [tiles, 3, height, width] float32 -> [tiles, tokens, width] float32. `plan` governs the stream
  /// `vision_tower`; null: dense. Throws Error{bad_request} for a plan that drops rows for good here.
  Tensor features(const Tensor& pixels, const plan::Plan* plan = nullptr, const routing::Observer& observer = {}) const;
  /// What a pass needs besides tiles and plans.
  struct Pass {
    routing::Observer observer;
    std::span<const uint64_t> draws = {};                  ///< [tiles] in training, what dropout draws from, or empty
    std::vector<routing::Recorded>* class_rows = nullptr;  ///< [tiles] receives what the last block's class row asked
    std::span<const nn::Lora* const> loras = {};           ///< [tiles] over each one, or null; empty: over none
  };
  /// The same with a plan for each tile.
  Tensor features(const Tensor& pixels, std::span<const plan::Plan* const> plans, const Pass& pass) const;

 private:
  Tensor embed(const Tensor& pixels) const;
};

/// A tower of this shape whose tensors are still to be filled.
VisionTower shaped_tower(const VisionTowerConfig& config);

/// Every weight.
void visit(VisionTower& tower, const WeightVisitor& visitor);

}  // namespace lithe::models
