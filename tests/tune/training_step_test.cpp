#include "tune/training_step.h"

#include <gtest/gtest.h>

#include <cmath>
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

}  // namespace
}  // namespace lithe::tune
