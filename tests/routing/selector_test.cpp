#include "routing/selector.h"

#include <ATen/ops/tensor.h>

#include <limits>
#include <set>

#include "ops/tensor_support.h"
#include "plan/rows.h"

namespace lithe::routing {
namespace {

using test::Dice;
using List = std::vector<int64_t>;

Tensor numbers(const std::vector<double>& values) {
  return at::tensor(at::ArrayRef<double>(values), at::kDouble);
}

Candidates candidates(const Tensor& hidden, const List& rows, int64_t keep) {
  return {.hidden = hidden, .rows = rows, .keep = keep};
}

TEST(Highest, TakesTiesFromTheLowestRow) {
  EXPECT_EQ(highest(numbers({1, 3, 2, 3, 3}), 2), (List{1, 3}));
  EXPECT_EQ(highest(numbers({1, 1, 1, 1}), 3), (List{0, 1, 2}));
  EXPECT_EQ(highest(numbers({5, 4}), 0), List{});
  EXPECT_EQ(highest(numbers({5, 4}), 2), (List{0, 1}));
}

TEST(Highest, PutsNaNLast) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(highest(numbers({nan, -5, nan, 2}), 2), (List{1, 3}));
  EXPECT_EQ(highest(numbers(std::vector<double>(100, nan)), 3), (List{0, 1, 2}));
}

TEST(Selectors, AreFoundByName) {
  for (const plan::SelectorFacts& known : plan::known_selectors()) {
    ASSERT_NE(find_selector(known.name), nullptr) << known.name;
    EXPECT_EQ(find_selector(known.name)->facts, &known);
  }
  EXPECT_EQ(find_selector("nobody"), nullptr);
}

TEST(Selectors, UniformIsWhatPlansCount) {
  const Tensor hidden = numbers({0});
  for (int64_t n = 1; n < 40; ++n) {
    List rows;
    for (int64_t i = 0; i < n; ++i) rows.push_back(i);
    for (int64_t k = 0; k <= n; ++k)
      EXPECT_EQ(choose_uniformly(candidates(hidden, rows, k)), plan::spread_rows(n, k)) << k << " of " << n;
  }
}

TEST(Selectors, RandomDrawsDependOnSeedAndLayerOnly) {
  const Tensor hidden = numbers({0});
  const List rows{3, 4, 5, 9, 10, 11, 12, 30}, others{0, 1, 2, 3, 4, 5, 6, 7};
  Candidates some = candidates(hidden, rows, 3);
  const List first = choose_at_random(some);
  EXPECT_EQ(first, choose_at_random(candidates(hidden, others, 3)));
  EXPECT_EQ(first, (List{0, 2, 3}));  // the same on every machine
  std::set<List> seen;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    some.seed = seed;
    const List chosen = choose_at_random(some);
    EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
    EXPECT_EQ(std::set<int64_t>(chosen.begin(), chosen.end()).size(), 3u);
    seen.insert(chosen);
  }
  EXPECT_GT(seen.size(), 20u);
}

TEST(Selectors, SimilarityDropsRepeatedRows) {
  const Tensor hidden = numbers({1, 0, /**/ 1, 0, /**/ 0, 1, /**/ 0.1, 1, /**/ -1, 0}).view({5, 2});
  const List rows{0, 1, 2, 3, 4};
  EXPECT_EQ(choose_by_similarity(candidates(hidden, rows, 1)), (List{0}));
  EXPECT_EQ(choose_by_similarity(candidates(hidden, rows, 3)), (List{0, 2, 4}));
  EXPECT_EQ(choose_by_similarity(candidates(hidden, rows, 4)), (List{0, 2, 3, 4}));
  const List one{2};
  EXPECT_EQ(choose_by_similarity(candidates(hidden, one, 1)), (List{0}));
}

}  // namespace
}  // namespace lithe::routing
