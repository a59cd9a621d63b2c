#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "image/heat_map.h"

namespace lithe::models {

using at::Tensor;

/// Rows of one picture among which a rule chooses, and what the vision tower left of them.
struct PictureRows {
  std::vector<int64_t> rows;      ///< Ascending; newline rows are not among them.
  std::vector<double> attention;  ///< [rows] of the class token to each
  Tensor keys;                    ///< [rows, heads, head_dim]
  Tensor features;                ///< [rows, width]
};

/// What is kept of a picture: rows as they are, and rows that took in others. Indices into `PictureRows::rows`.
struct MergedPicture {
  std::vector<int64_t> plain;
  std::vector<int64_t> merged;
  Tensor features;  ///< [merged, width] what the merged rows became
};

/// VisionZip (arXiv 2412.04467). Of k rows, the class token's favourites stay as they are. 10 of 64 are contextual: of
/// the rows that are left, every so-and-so-many-th is a target. Each other one joins the target whose key, the mean
/// over heads, is most like its own. A target becomes x + mean of what joined it.
MergedPicture zip_picture(const PictureRows& picture, int64_t k);

/// LLaVA-PruMerge+ (arXiv 2403.15388) with a fixed number of rows. Half of the k rows are the class token's favourites,
/// the others are spread evenly over the rest. Each becomes x + sum over the 32 rows with the most similar keys of
/// (attention of the class token) times x.
MergedPicture prumerge_picture(const PictureRows& picture, int64_t k);

/// What a smaller picture gives: k parts of the picture, each the mean of its patches, at the patch in its middle.
/// views: where patches are among the picture's rows.
MergedPicture pool_picture(const PictureRows& picture, std::span<const image::HeatView> views, int64_t k);

}  // namespace lithe::models
