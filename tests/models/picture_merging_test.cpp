#include "models/picture_merging.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/error.h"
#include "ops/tensor_support.h"
#include "plan/choosing.h"
#include "routing/index_tensor.h"

// What is kept of a picture, and what merged rows become, against loops over rows.
namespace lithe::models {
namespace {

using test::Dice;
using List = std::vector<int64_t>;

PictureRows random_picture(Dice& dice, int64_t count) {
  PictureRows picture{.keys = dice.normal({count, 2, 3}), .features = dice.normal({count, 5})};
  for (int64_t row = 0; row < count; ++row) {
    picture.rows.push_back(2 * row);  // not every row of the prompt is a patch
    picture.attention.push_back(static_cast<double>(dice.below(1000)) / 4000.0);  // with ties
  }
  return picture;
}

/// The `count` rows with the most attention among `from`, of equals the lowest.
List plain_favourites(const PictureRows& picture, List from, int64_t count) {
  std::stable_sort(from.begin(), from.end(), [&](int64_t a, int64_t b) {
    return picture.attention[static_cast<size_t>(a)] > picture.attention[static_cast<size_t>(b)];
  });
  from.resize(static_cast<size_t>(count));
  std::sort(from.begin(), from.end());
  return from;
}

List all_rows(int64_t count) {
  List rows;
  for (int64_t row = 0; row < count; ++row) rows.push_back(row);
  return rows;
}

List without(const List& rows, const List& some) {
  List rest;
  std::set_difference(rows.begin(), rows.end(), some.begin(), some.end(), std::back_inserter(rest));
  return rest;
}

double cosine(const Tensor& a, const Tensor& b) {
  return (a.flatten().dot(b.flatten()) / a.norm() / b.norm()).item<double>();
}

void expect_rows(const Tensor& actual, const std::vector<Tensor>& expected, const std::string& where) {
  ASSERT_EQ(actual.size(0), std::ssize(expected)) << where;
  for (size_t i = 0; i < expected.size(); ++i)
    test::expect_close(actual[static_cast<int64_t>(i)], expected[i], 1e-9, concat(where, ", row ", i));
}

TEST(VisionZip, JoinsEachRowToTheTargetWithTheMostSimilarKey) {
  for (int seed = 0; seed < 40 && !::testing::Test::HasFailure(); ++seed) {
    Dice dice(static_cast<uint64_t>(seed) + 1);
    const int64_t count = 1 + dice.below(90), k = dice.below(count + 1);
    const PictureRows picture = random_picture(dice, count);
    const MergedPicture kept = zip_picture(picture, k);
    const std::string where = concat("seed ", seed);
    const int64_t contextual = std::min(k * 10 / 64, count - (k - k * 10 / 64));
    const List plain = plain_favourites(picture, all_rows(count), k - k * 10 / 64);
    EXPECT_EQ(kept.plain, plain) << where;
    const List rest = without(all_rows(count), plain);
    List targets;
    for (int64_t i = 0; i < contextual; ++i)
      targets.push_back(rest[static_cast<size_t>(i * (std::ssize(rest) / contextual))]);
    EXPECT_EQ(kept.merged, targets) << where;
    if (contextual == 0) continue;
    const Tensor keys = picture.keys.mean(1);
    std::vector<Tensor> sums(targets.size());
    std::vector<int64_t> counts(targets.size(), 0);
    for (const int64_t row : without(rest, targets)) {
      size_t best = 0;
      for (size_t i = 1; i < targets.size(); ++i) {
        if (cosine(keys[row], keys[targets[i]]) > cosine(keys[row], keys[targets[best]])) best = i;
      }
      sums[best] = counts[best]++ == 0 ? picture.features[row] : sums[best] + picture.features[row];
    }
    std::vector<Tensor> expected;
    for (size_t i = 0; i < targets.size(); ++i) {
      const Tensor target = picture.features[targets[i]];
      expected.push_back(counts[i] == 0 ? target : target + sums[i] / static_cast<double>(counts[i]));
    }
    expect_rows(kept.features, expected, where);
  }
}

// The tower's plan may leave a row without a key.
TEST(VisionZip, ATargetWithoutAKeyTakesInNoRowThatIsLikeAnother) {
  Dice dice(7);
  PictureRows picture = random_picture(dice, 64);
  picture.keys = picture.keys.abs();
  const int64_t target = zip_picture(picture, 32).merged[1];
  picture.keys[target].fill_(std::numeric_limits<double>::quiet_NaN());
  const MergedPicture kept = zip_picture(picture, 32);
  EXPECT_TRUE(at::equal(kept.features[1], picture.features[target]));
  EXPECT_FALSE(
      at::equal(kept.features, picture.features.index_select(0, routing::index_tensor(kept.merged, kept.features))));
}

TEST(PruMerge, TakesInTheNeighboursByTheirAttention) {
  for (int seed = 0; seed < 40 && !::testing::Test::HasFailure(); ++seed) {
    Dice dice(static_cast<uint64_t>(seed) + 100);
    const int64_t count = seed == 0 ? 300 : 1 + dice.below(70), k = seed == 0 ? 150 : dice.below(count + 1);
    const PictureRows picture = random_picture(dice, count);
    const MergedPicture kept = prumerge_picture(picture, k);
    const std::string where = concat("seed ", seed);
    List rows = plain_favourites(picture, all_rows(count), k / 2);
    const List rest = without(all_rows(count), rows);
    const int64_t spread = k - k / 2;
    for (int64_t j = 0; j < spread; ++j)
      rows.push_back(rest[static_cast<size_t>((2 * j + 1) * std::ssize(rest) / (2 * spread))]);
    std::sort(rows.begin(), rows.end());
    EXPECT_TRUE(kept.plain.empty());
    EXPECT_EQ(kept.merged, rows) << where;
    EXPECT_EQ(std::set<int64_t>(rows.begin(), rows.end()).size(), rows.size()) << where;
    std::vector<Tensor> expected;
    for (const int64_t row : rows) {
      List others = without(all_rows(count), {row});
      std::stable_sort(others.begin(), others.end(), [&](int64_t a, int64_t b) {
        return cosine(picture.keys[row], picture.keys[a]) > cosine(picture.keys[row], picture.keys[b]);
      });
      Tensor sum = picture.features[row].clone();
      for (size_t i = 0; i < std::min<size_t>(others.size(), 32); ++i)
        sum = sum + picture.features[others[i]] * picture.attention[static_cast<size_t>(others[i])];
      expected.push_back(sum);
    }
    if (!rows.empty()) expect_rows(kept.features, expected, where);
  }
}

/// A map of patches whose rows end with a newline row.
image::HeatView map_of(int64_t columns, int64_t rows, int64_t first) {
  return {.grid_w = columns, .grid_h = rows, .first_token = first, .row_stride = columns + 1};
}

TEST(Pooling, TakesTheMeanOfEachPart) {
  Dice dice(7);
  const std::vector<image::HeatView> views{map_of(4, 6, 0), map_of(5, 3, 30)};
  PictureRows picture;
  for (int64_t row = 0; row < 48; ++row) {
    const bool newline = row < 30 ? row % 5 == 4 : (row - 30) % 6 == 5;
    if (!newline) picture.rows.push_back(row);
  }
  picture.attention.assign(picture.rows.size(), 0.0);
  picture.features = dice.normal({std::ssize(picture.rows), 5});
  const auto feature = [&](int64_t row) {
    const auto found = std::find(picture.rows.begin(), picture.rows.end(), row);
    return picture.features[found - picture.rows.begin()];
  };
  for (const int64_t k : {1, 5, 13, 20, 39}) {
    const MergedPicture kept = pool_picture(picture, views, k);
    ASSERT_EQ(std::ssize(kept.merged), k);
    EXPECT_EQ(std::set<int64_t>(kept.merged.begin(), kept.merged.end()).size(), kept.merged.size()) << k;
    const int64_t first = k * 24 / 39;
    std::vector<Tensor> expected;
    List targets;
    for (const auto& [view, cells] : {std::pair{&views[0], first}, std::pair{&views[1], k - first}}) {
      for (const plan::Cell& cell : plan::cells_of_map(view->grid_h, view->grid_w, cells)) {
        Tensor sum = feature(view->token_at(cell.column, cell.row)) * 0.0;
        for (int64_t row = cell.row; row < cell.row + cell.rows; ++row)
          for (int64_t column = cell.column; column < cell.column + cell.columns; ++column)
            sum = sum + feature(view->token_at(column, row));
        expected.push_back(sum / static_cast<double>(cell.rows * cell.columns));
        targets.push_back(view->token_at(cell.column + cell.columns / 2, cell.row + cell.rows / 2));
      }
    }
    expect_rows(kept.features, expected, concat(k, " parts"));
    for (size_t i = 0; i < targets.size(); ++i)
      EXPECT_EQ(picture.rows[static_cast<size_t>(kept.merged[i])], targets[i]) << k;
  }
  EXPECT_TRUE(pool_picture(picture, views, 0).merged.empty());
}

TEST(Pooling, LooksOnlyAtRowsOfItsRule) {
  Dice dice(8);
  const std::vector<image::HeatView> views{map_of(2, 2, 0), map_of(2, 2, 6)};
  PictureRows picture{.rows = {6, 7, 9, 10}, .attention = {0, 0, 0, 0}, .features = dice.normal({4, 5})};
  const MergedPicture kept = pool_picture(picture, views, 1);
  EXPECT_EQ(std::ssize(kept.merged), 1);
  test::expect_close(kept.features[0], picture.features.mean(0), 1e-9, "mean");
}

}  // namespace
}  // namespace lithe::models
