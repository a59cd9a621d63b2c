#include "models/picture_merging.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <limits>
#include <map>

#include "plan/choosing.h"
#include "plan/rows.h"
#include "routing/index_tensor.h"
#include "routing/selector.h"
#include "routing/unit_rows.h"

namespace lithe::models {
namespace {

constexpr int64_t kNeighbours = 32;  // that PruMerge+ takes in
constexpr int64_t kBlock = 64;       // rows whose neighbours are found at once

Tensor select(const Tensor& x, const std::vector<int64_t>& rows) {
  return x.index_select(0, routing::index_tensor(rows, x));
}

/// The class token's `count` favourites.
std::vector<int64_t> favourites(const PictureRows& picture, int64_t count) {
  return routing::highest(at::tensor(at::ArrayRef<double>(picture.attention), at::kDouble), count);
}

/// The rows that are not in `some`, ascending.
std::vector<int64_t> others(int64_t count, const std::vector<int64_t>& some) {
  std::vector<bool> taken(static_cast<size_t>(count), false);
  for (const int64_t row : some) taken[static_cast<size_t>(row)] = true;
  std::vector<int64_t> rest;
  for (int64_t row = 0; row < count; ++row) {
    if (!taken[static_cast<size_t>(row)]) rest.push_back(row);
  }
  return rest;
}

/// x + mean of the rows that joined each target.  joins: [joining] the number of a target
Tensor with_joined(const Tensor& targets, const Tensor& joining, const Tensor& joins) {
  const Tensor sums = at::index_add(at::zeros_like(targets), 0, joins, joining);
  const Tensor counts = at::index_add(at::zeros({targets.size(0)}, targets.options()), 0, joins,
                                      at::ones({joins.size(0)}, targets.options()));
  return targets + sums / counts.clamp_min(1).unsqueeze(1);
}

}  // namespace

MergedPicture zip_picture(const PictureRows& picture, int64_t k) {
  const auto count = static_cast<int64_t>(picture.rows.size());
  MergedPicture kept;
  kept.plain = favourites(picture, k - plan::contextual_rows(k));
  const std::vector<int64_t> rest = others(count, kept.plain);
  const int64_t contextual = std::min(plan::contextual_rows(k), std::ssize(rest));
  if (contextual == 0) return kept;
  const int64_t step = std::ssize(rest) / contextual;
  for (int64_t i = 0; i < contextual; ++i) kept.merged.push_back(rest[static_cast<size_t>(i * step)]);
  std::vector<int64_t> all = kept.plain;
  all.insert(all.end(), kept.merged.begin(), kept.merged.end());
  const std::vector<int64_t> joining = others(count, all);
  const Tensor targets = select(picture.features, kept.merged);
  kept.features = targets;
  if (joining.empty()) return kept;
  const Tensor keys = routing::UnitRows(picture.keys.mean(1)).unit(), features = select(picture.features, joining);
  const Tensor joins = select(keys, joining).matmul(select(keys, kept.merged).t()).argmax(1);
  kept.features = with_joined(targets, features, joins);
  return kept;
}

MergedPicture prumerge_picture(const PictureRows& picture, int64_t k) {
  const auto count = static_cast<int64_t>(picture.rows.size());
  MergedPicture kept;
  kept.merged = favourites(picture, k / 2);
  const std::vector<int64_t> rest = others(count, kept.merged);
  for (const int64_t i : plan::spread_rows(std::ssize(rest), k - k / 2))
    kept.merged.push_back(rest[static_cast<size_t>(i)]);
  std::sort(kept.merged.begin(), kept.merged.end());
  kept.features = select(picture.features, kept.merged);
  const int64_t neighbours = std::min(kNeighbours, count - 1);
  if (kept.merged.empty() || neighbours == 0) return kept;
  const Tensor keys = routing::UnitRows(picture.keys.flatten(1)).unit();
  const Tensor attention =
      at::tensor(at::ArrayRef<double>(picture.attention), at::kDouble).to(picture.features.options());
  std::vector<Tensor> blocks;
  for (int64_t first = 0; first < std::ssize(kept.merged); first += kBlock) {
    const int64_t some = std::min(kBlock, std::ssize(kept.merged) - first);
    const std::vector<int64_t> own(kept.merged.begin() + first, kept.merged.begin() + first + some);
    Tensor likeness = select(keys, own).matmul(keys.t());
    likeness = likeness.scatter(1, routing::index_tensor(own, keys).unsqueeze(1),
                                -std::numeric_limits<double>::infinity());  // a row is not its own neighbour
    const Tensor nearest = std::get<1>(at::topk(likeness, neighbours, 1)).flatten();
    const Tensor weighed = picture.features.index_select(0, nearest) * attention.index_select(0, nearest).unsqueeze(1);
    blocks.push_back(weighed.unflatten(0, {some, neighbours}).sum(1));
  }
  kept.features = kept.features + at::cat(blocks);
  return kept;
}

MergedPicture pool_picture(const PictureRows& picture, std::span<const image::HeatView> views, int64_t k) {
  std::map<int64_t, int64_t> index;  // of a row of the picture
  for (size_t i = 0; i < picture.rows.size(); ++i) index[picture.rows[i]] = static_cast<int64_t>(i);
  std::vector<const image::HeatView*> seen;
  int64_t patches = 0;
  for (const image::HeatView& view : views) {
    if (!index.contains(view.token_at(0, 0))) continue;  // rows of another rule
    seen.push_back(&view);
    patches += view.grid_w * view.grid_h;
  }
  MergedPicture kept;
  std::vector<Tensor> means;
  int64_t left = k;
  for (const image::HeatView* view : seen) {
    const int64_t cells = view == seen.back() ? left : k * view->grid_w * view->grid_h / patches;
    left -= cells;
    for (const plan::Cell& cell : plan::cells_of_map(view->grid_h, view->grid_w, cells)) {
      std::vector<int64_t> rows;
      for (int64_t row = cell.row; row < cell.row + cell.rows; ++row) {
        for (int64_t column = cell.column; column < cell.column + cell.columns; ++column)
          rows.push_back(index.at(view->token_at(column, row)));
      }
      kept.merged.push_back(index.at(view->token_at(cell.column + cell.columns / 2, cell.row + cell.rows / 2)));
      means.push_back(select(picture.features, rows).mean(0));
    }
  }
  if (!means.empty()) kept.features = at::stack(means);
  return kept;
}

}  // namespace lithe::models
