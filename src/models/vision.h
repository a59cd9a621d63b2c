#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "image/image.h"
#include "image/preprocess.h"
#include "models/packing.h"
#include "models/parts/projector.h"
#include "models/parts/vision_tower.h"
#include "plan/plan.h"

namespace lithe::models {

/// A picture as the tower takes it. Made without tensors, so any thread may make it.
struct PreparedImage {
  image::Views views;
  image::PixelValues pixels;
};

/// A picture on its way through the tower.
struct TowerInput {
  std::shared_ptr<const PreparedImage> image;
  const plan::Plan* plan = nullptr;  ///< Governs the tower for it; null: dense.
  std::optional<uint64_t> draw;      ///< In training, what dropout draws from; of all pictures of a pass or of none.
  const nn::Lora* lora = nullptr;    ///< Over tower and projector for it; null: none.
};

/// One picture as rows of the prompt.
struct ImageRows : PackedRows {
  std::shared_ptr<const PreparedImage> image;
  Tensor pixels;     ///< [tiles, 3, height, width], the memory of `image`
  Tensor features;   ///< [tiles, tokens, width] out of the tower
  Tensor projected;  ///< [tiles, tokens, hidden]

  const image::Views& views() const { return image->views; }  ///< What the tower saw, for heat maps.
};

/// Everything between a decoded picture and rows. Knows no decoder.
struct Vision {
  image::PreprocessConfig preprocess;
  VisionTower tower;
  Projector projector;
  std::optional<Tensor> newline;  ///< [hidden]
  Packing packing;

  int64_t hidden() const { return projector.widths.empty() ? tower.config.width : projector.widths.back(); }

  /// Cuts a picture of a prompt with `pictures` of them into views and normalises them. Throws Error{bad_request} for
  /// pictures that cannot be resized.
  PreparedImage prepare(const image::Image& picture, int64_t pictures = 1) const;

  /// How many tiles `prepare` makes of a picture of this size.
  int64_t tiles(image::Size picture, int64_t pictures = 1) const {
    return image::count_tiles(picture, preprocess, pictures);
  }

  /// How many rows a picture of this size becomes.
  int64_t rows(image::Size picture, int64_t pictures = 1) const {
    return packed_rows(packing, tower.config, picture, image::tile_grid(picture, preprocess, pictures));
  }

  /// Most rows that a picture of so many tiles becomes; an upper bound.
  int64_t most_rows(int64_t tiles) const;

  /// Whether a picture comes out of `prepare` the same among so many pictures.
  bool prepares_alike(int64_t pictures, int64_t others) const {
    return !preprocess.aspect_among_several || (pictures > 1) == (others > 1);
  }

  /// Tower, projector, packing. `plan` governs the tower; null: dense. `observer` is called after each layer.
  ImageRows encode(PreparedImage image, const plan::Plan* plan = nullptr, const routing::Observer& observer = {}) const;
  /// The same of several pictures in one pass. Each gives the rows that it gives alone, up to rounding.
  std::vector<ImageRows> encode(std::span<const TowerInput> pictures, const routing::Observer& observer = {}) const;

 private:
  void choose(const TowerInput& picture, std::span<const routing::Recorded> class_rows, ImageRows& rows) const;
};

/// Every weight of the parts, and the newline row.
void visit(Vision& vision, const WeightVisitor& visitor);

}  // namespace lithe::models
