#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "ops/activation.h"
#include "routing/block.h"

namespace lithe::models {

using at::Tensor;

/// The shape of a CLIP ViT and which of its features LLaVA reads.
struct VisionTowerConfig {
  int64_t layers = 0;         ///< In the checkpoint.
  int64_t layers_run = 0;     ///< Blocks that the chosen features need: hidden_states[-2] leaves out the last.
  int64_t width = 0, mlp = 0, heads = 0, image_px = 0, patch_px = 0, channels = 3;
  double norm_eps = 1e-5;
  ops::Activation activation = ops::Activation::quick_gelu;
  bool keep_class_token = false;  ///< `cls_patch` or `full` instead of `patch` or `default`.

  int64_t grid() const { return image_px / patch_px; }  ///< Patches across.
  int64_t patches() const { return grid() * grid(); }
};

/// CLIP's vision transformer (arXiv 2103.00020). Its blocks run through the same executor as a decoder's (stream `vision_tower`).
struct VisionTower {
  VisionTowerConfig config;
  Tensor patch_weight;     ///< [width, channels, patch_px, patch_px]
  Tensor class_embedding;  ///< [width]
  Tensor positions;        ///< [patches + 1, width]
  nn::Norm pre_norm;
  std::vector<routing::Block> blocks;  ///< layers_run of them

  /// pixels: [tiles, 3, S, S] float32 -> [tiles, tokens, width]
  Tensor features(const Tensor& pixels) const;
};

}  // namespace lithe::models
