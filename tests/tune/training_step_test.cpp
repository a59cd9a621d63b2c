#include "tune/training_step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "sentence_of.h"

namespace lithe::tune {
namespace {

struct Named {
  std::string name;
};

TEST(TrainingStep, AGradientThatIsNotFiniteNamesTheSamplesOfTheStep) {
  const std::vector<Named> first{{"a"}, {"b"}}, none, last{{"c"}};
  const std::vector<std::span<const Named>> batches{first, none, last};
  AdamW optimiser({}, {});
  const auto check = [&](double norm) {
    require_finite_gradient(norm, std::span<const std::span<const Named>>(batches), optimiser);
  };
  check(1.5);
  for (const double norm : {std::nan(""), std::numeric_limits<double>::infinity()})
    EXPECT_EQ(lithe::test::sentence_of([&] { check(norm); }),
              "the gradient is not finite at a, b, c; lower learning_rate, or look at these samples");
}

TEST(TrainingStep, NamesFourOfManySamples) {
  EXPECT_EQ(some_names({"a", "b", "c", "d"}), "a, b, c, d");
  EXPECT_EQ(some_names({"a", "b", "c", "d", "e", "f"}), "a, b, c, d and 2 more");
}

TEST(TrainingStep, ALossThatIsNotFiniteNamesTheSamplesWhoseOwnIsNot) {
  std::vector<Named> all;
  for (int i = 0; i < 128; ++i) all.push_back({std::to_string(i)});
  AdamW optimiser({}, {});
  int64_t asked = 0;
  const auto said = [&](const std::function<bool(const std::string&)>& is_bad) {
    asked = 0;
    const auto loss_of = [&](std::span<const Named> some) {
      asked += std::ssize(some);
      return is_bad(some.front().name) ? std::nan("") : 1.0;
    };
    return lithe::test::sentence_of(
        [&] { require_finite_loss(std::nan(""), std::span<const Named>(all), loss_of, optimiser); });
  };
  const std::string advice = "; lower learning_rate, or look at these samples";
  EXPECT_EQ(said([](const std::string& name) { return name == "2" || name == "77"; }),
            "the loss is not finite at 2, 77" + advice);
  EXPECT_EQ(said([](const std::string& name) { return name.size() == 2; }),
            "the loss is not finite at 10, 11, 12, 13 and 86 more" + advice);
  const std::string every = "the loss is not finite at 0, 1, 2, 3 and 124 more" + advice;
  EXPECT_EQ(said([](const std::string&) { return false; }), every);  // of none alone
  EXPECT_EQ(said([](const std::string&) { return true; }), every);
  EXPECT_EQ(asked, 4);  // as after weights got too large
}

}  // namespace
}  // namespace lithe::tune
