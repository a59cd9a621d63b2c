#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "models/parts/adapters.h"
#include "models/parts/weight_slot.h"
#include "ops/activation.h"
#include "plan/plan.h"
#include "routing/batch.h"
#include "routing/block.h"

namespace lithe::models {

using at::Tensor;

/// The shape of a CLIP ViT and which of its features LLaVA reads.
struct VisionTowerConfig {
  int64_t layers = 0;      ///< In the checkpoint.
  int64_t layers_run = 0;  ///< Blocks that the chosen features need: hidden_states[-2] leaves out the last.
  int64_t width = 0, mlp = 0, heads = 0, image_px = 0, patch_px = 0, channels = 3;
  double norm_eps = 1e-5;
  ops::Activation activation = ops::Activation::quick_gelu;
  bool keep_class_token = false;  ///< `cls_patch` or `full` instead of `patch` or `default`.
  EasLayers eas;

  int64_t grid() const { return image_px / patch_px; }  ///< Patches across.
  int64_t patches() const { return grid() * grid(); }
  int64_t tokens() const { return patches() + (keep_class_token ? 1 : 0); }  ///< Rows out of the tower, per tile.
};

/// CLIP's vision transformer (arXiv 2103.00020). Its blocks run through the same executor as a decoder's (stream
/// `vision_tower`).
struct VisionTower {
  VisionTowerConfig config;
  nn::Linear patches;      ///< [width, channels * patch_px * patch_px]
  Tensor class_embedding;  ///< [width]
  Tensor positions;        ///< [patches + 1, width]
  nn::Norm pre_norm;
  std::vector<routing::Block> blocks;  ///< layers_run of them

  /// pixels: [tiles, 3, S, S] float32 -> [tiles, tokens, width] float32. `plan` governs the stream `vision_tower`;
  /// null: dense. Throws Error{bad_request} for a plan that drops rows for good here.
  Tensor features(const Tensor& pixels, const plan::Plan* plan = nullptr, const routing::Observer& observer = {}) const;
  /// The same with a plan for each tile.
  Tensor features(const Tensor& pixels, std::span<const plan::Plan* const> plans,
                  const routing::Observer& observer) const;

 private:
  Tensor embed(const Tensor& pixels) const;
};

/// A tower of this shape whose tensors are still to be filled.
VisionTower shaped_tower(const VisionTowerConfig& config);

/// Every weight.
void visit(VisionTower& tower, const WeightVisitor& visitor);

}  // namespace lithe::models
