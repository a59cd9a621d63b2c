#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "ops/tensor_support.h"
#include "plan/choosing.h"
#include "routing/index_tensor.h"
#include "routing/plain_choices.h"
#include "routing/selector.h"
#include "routing/unit_rows.h"

// Each selector against the definition of its paper, written in plain loops (plain_choices.h).
namespace lithe::routing {
namespace {

using test::Dice;
using List = std::vector<int64_t>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// Rows of a group among other rows, with text after them.
struct Group {
  Tensor hidden, before, keys, text_keys;
  List rows, text;
  int64_t keep = 0;

  Candidates candidates() const {
    return {.hidden = hidden,
            .rows = rows,
            .keep = keep,
            .text = text,
            .keys = keys,
            .text_keys = text_keys,
            .before = before};
  }
  Matrix of(const Tensor& x, const List& some) const { return matrix_of(x.index_select(0, index_tensor(some, x))); }
};

/// twins: some rows repeat others.
Group random_group(Dice& dice, bool twins) {
  const int64_t all = 3 + dice.below(40), width = 2 + dice.below(9);
  Group group{.hidden = dice.normal({all, width}), .before = {}, .keys = {}, .text_keys = {}, .rows = {}, .text = {}};
  const int64_t last = 1 + dice.below(all - 1);
  for (int64_t row = 0; row < all; ++row) {
    if (row < last ? dice.below(5) > 0 : false) group.rows.push_back(row);
    if (row >= last && dice.coin()) group.text.push_back(row);
  }
  if (group.rows.empty()) group.rows.push_back(0);
  const auto n = static_cast<int64_t>(group.rows.size());
  for (int64_t i = dice.below(3); twins && i > 0 && n > 1; --i) {
    const int64_t from = group.rows[static_cast<size_t>(dice.below(n))],
                  to = group.rows[static_cast<size_t>(dice.below(n))];
    group.hidden[to].copy_(group.hidden[from]);
  }
  group.before = dice.normal({n, width});
  group.keys = dice.normal({n, 2, 3});
  group.text_keys = dice.normal({static_cast<int64_t>(group.text.size()), 2, 3});
  group.keep = dice.below(n + 1);
  return group;
}

template <class Check>
void for_random_groups(const Check& check, bool twins = true) {
  for (int seed = 0; seed < 300 && !::testing::Test::HasFailure(); ++seed) {
    Dice dice(static_cast<uint64_t>(seed) + 1);
    check(random_group(dice, twins), concat("seed ", seed));
  }
}

TEST(Choices, ByKeyNorm) {
  for_random_groups([](const Group& group, const std::string& where) {
    EXPECT_EQ(choose_by_key_norm(group.candidates()), plain_key_norm(group.keys, group.keep)) << where;
  });
}

TEST(Choices, ByVariation) {
  for_random_groups([](const Group& group, const std::string& where) {
    const Matrix now = group.of(group.hidden, group.rows), before = matrix_of(group.before);
    EXPECT_EQ(choose_by_variation(group.candidates()), plain_variation(now, before, group.keep)) << where;
  });
}

TEST(Choices, WithoutDuplicates) {
  for_random_groups([](const Group& group, const std::string& where) {
    const PlainDart dart{group.of(group.hidden, group.rows), group.of(group.hidden, group.text), group.keys,
                         group.text_keys};
    EXPECT_EQ(choose_without_duplicates(group.candidates()), dart.choose(group.keep)) << where;
  });
}

// Products of twins with other rows may differ by rounding, and what is left of a volume after a twin is rounding.
TEST(Choices, ForDiversity) {
  for_random_groups(
      [](const Group& group, const std::string& where) {
        EXPECT_EQ(choose_for_diversity(group.candidates()),
                  plain_diversity(group.of(group.hidden, group.rows), group.keep))
            << where;
      },
      false);
}

TEST(Choices, ByRelevance) {
  for_random_groups(
      [](const Group& group, const std::string& where) {
        EXPECT_EQ(choose_by_relevance(group.candidates()),
                  plain_relevance(group.of(group.hidden, group.rows), group.of(group.hidden, group.text), group.keep))
            << where;
      },
      false);
}

// More rows than a block of products holds, and more choices than one pass fetches.
TEST(Choices, ManyRows) {
  Dice dice(5);
  Group group{.hidden = dice.normal({700, 12}), .before = {}, .keys = {}, .text_keys = {}, .rows = {}, .text = {}};
  for (int64_t row = 0; row < 690; ++row) group.rows.push_back(row);
  for (int64_t row = 690; row < 700; ++row) group.text.push_back(row);
  group.keep = 230;
  const Matrix rows = group.of(group.hidden, group.rows);
  EXPECT_EQ(choose_for_diversity(group.candidates()), plain_diversity(rows, group.keep));
  group.keep = 12;  // with 12 dimensions, no variance is left after that
  EXPECT_EQ(choose_by_relevance(group.candidates()), plain_relevance(rows, group.of(group.hidden, group.text), 12));
}

TEST(Choices, TakeEqualRowsFromTheLowest) {
  const Tensor hidden = at::tensor(at::ArrayRef<double>({1, 2, 1, 2, 1, 2, 1, 2}), at::kDouble).view({4, 2});
  const List rows{0, 1, 2, 3};
  const Tensor keys = hidden.view({4, 1, 2});
  for (int64_t keep = 0; keep <= 4; ++keep) {
    const Candidates same{.hidden = hidden,
                          .rows = rows,
                          .keep = keep,
                          .keys = keys,
                          .text_keys = keys.narrow(0, 0, 0),
                          .before = hidden};
    List first(static_cast<size_t>(keep));
    std::iota(first.begin(), first.end(), 0);
    EXPECT_EQ(choose_by_key_norm(same), first);
    EXPECT_EQ(choose_by_variation(same), first);
    EXPECT_EQ(choose_without_duplicates(same), first);
    EXPECT_EQ(choose_for_diversity(same), first);
    EXPECT_EQ(choose_by_relevance(same), first);
  }
}

// A row that is not finite is chosen after all others, and moves no other choice.
TEST(Choices, PutNaNLast) {
  for (int seed = 0; seed < 100 && !HasFailure(); ++seed) {
    Dice dice(static_cast<uint64_t>(seed) + 500);
    Group group = random_group(dice, false);
    const auto n = static_cast<int64_t>(group.rows.size());
    if (n < 3) continue;
    const int64_t bad = dice.below(n);
    Group rest = group;  // without the bad row
    rest.rows.erase(rest.rows.begin() + bad);
    List others;
    for (int64_t i = 0; i < n; ++i) {
      if (i != bad) others.push_back(i);
    }
    rest.keys = group.keys.index_select(0, index_tensor(others, group.keys));
    rest.before = group.before.index_select(0, index_tensor(others, group.before));
    group.keep = rest.keep = dice.below(n);
    group.hidden[group.rows[static_cast<size_t>(bad)]].fill_(kNaN);
    group.keys[bad].fill_(kNaN);
    for (const char* name : {"key_norm", "variation", "duplication", "diversity", "relevance"}) {
      List expected;
      for (const int64_t i : find_selector(name)->choose(rest.candidates()))
        expected.push_back(others[static_cast<size_t>(i)]);
      EXPECT_EQ(find_selector(name)->choose(group.candidates()), expected) << name << ", seed " << seed;
      Group all = group;
      all.keep = n;
      EXPECT_EQ(std::ssize(find_selector(name)->choose(all.candidates())), n) << name;
    }
  }
}

TEST(Choices, AreRefusedWithoutWhatTheyRead) {
  const Tensor hidden = at::tensor(at::ArrayRef<double>({1, 2}), at::kDouble).view({1, 2});
  const List rows{0};
  const Candidates bare{.hidden = hidden, .rows = rows, .keep = 1, .layer = 7};
  for (const char* name : {"attention", "text_attention", "router", "key_norm", "variation", "duplication",
                           "class_attention", "visionzip", "prumerge", "pooled", "given"}) {
    try {
      find_selector(name)->choose(bare);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::bad_request) << name;
      EXPECT_NE(std::string(error.what()).find("layer 7"), std::string::npos) << error.what();
    }
  }
}

TEST(UnitRows, FetchesWhatIsLikelyInTheSamePass) {
  Dice dice(9);
  const Tensor hidden = dice.normal({20, 5});
  List rows(20);
  std::iota(rows.begin(), rows.end(), 0);
  UnitRows unit(hidden, rows);
  int passes = 0;
  const auto likely = [&](int64_t) {
    ++passes;
    return List{4, 5, 6};
  };
  const Matrix plain = plain_cosines(matrix_of(hidden));
  for (const int64_t row : {3, 5, 6, 4, 3}) {
    const std::vector<double>& cosines = unit.cosines(row, likely);
    for (size_t other = 0; other < 20; ++other)
      EXPECT_NEAR(cosines[other], plain[static_cast<size_t>(row)][other], 1e-12);
  }
  EXPECT_EQ(passes, 1);
  unit.cosines(10, likely);
  EXPECT_EQ(passes, 2);
}

}  // namespace
}  // namespace lithe::routing
