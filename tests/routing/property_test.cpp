#include "base/error.h"
#include "routing/random_case.h"
#include "routing/twin.h"

// Random plans over random prompts: whatever a plan says, the executor and the masked twin agree.
namespace lithe::routing {
namespace {

// Draws of one to four prompts, each under a plan of its own.
constexpr int kTrained = 300, kTrainedAnswers = 300, kServedAlone = 300, kServedTogether = 400;

TEST(RandomPlans, TrainAsTheTwinDoes) {
  for (int trial = 0; trial < kTrained && !HasFailure(); ++trial) {
    Dice dice(static_cast<uint64_t>(1000 + trial));
    const TinyShape shape = random_shape(dice);
    std::vector<Block> blocks = random_blocks(dice, shape);
    std::vector<Prompt> prompts;
    for (int64_t i = dice.below(3); i >= 0; --i) prompts.push_back(random_case(dice, shape, false));
    draw_adapters(dice, shape, blocks, prompts);
    expect_equals_twin(blocks, shape, prompts, concat("trial ", trial));
  }
}

/// The twin reads an answer as rows that are decoded: so training an answer equals serving it, in gradients too.
TEST(RandomPlans, TrainAnswersAsTheTwinDecodes) {
  for (int trial = 0; trial < kTrainedAnswers && !HasFailure(); ++trial) {
    Dice dice(static_cast<uint64_t>(3000 + trial));
    const TinyShape shape = random_shape(dice);
    std::vector<Block> blocks = random_blocks(dice, shape);
    std::vector<Prompt> prompts;
    for (int64_t i = dice.below(3); i >= 0; --i) prompts.push_back(random_case(dice, shape, dice.below(4) != 0));
    draw_adapters(dice, shape, blocks, prompts);
    expect_equals_twin(blocks, shape, prompts, concat("trial ", trial));
  }
}

TEST(RandomPlans, ServeAsTheTwinDoes) {
  for (int trial = 0; trial < kServedAlone && !HasFailure(); ++trial) {
    Dice dice(static_cast<uint64_t>(5000 + trial));
    const TinyShape shape = random_shape(dice);
    std::vector<Block> blocks = random_blocks(dice, shape);
    std::vector<Prompt> prompts{random_case(dice, shape, true)};
    draw_adapters(dice, shape, blocks, prompts);
    expect_served_equals_twin(blocks, shape, prompts.front(), concat("trial ", trial));
  }
}

TEST(RandomPlans, ServeTogetherAsTheTwinDoesOneByOne) {
  for (int trial = 0; trial < kServedTogether && !HasFailure(); ++trial) {
    Dice dice(static_cast<uint64_t>(9000 + trial));
    const TinyShape shape = random_shape(dice);
    std::vector<Block> blocks = random_blocks(dice, shape);
    std::vector<Prompt> prompts;
    for (int64_t i = dice.below(3); i >= -1; --i) prompts.push_back(random_case(dice, shape, true));
    draw_adapters(dice, shape, blocks, prompts);
    expect_served_together_equals_twin(blocks, shape, prompts, dice, concat("trial ", trial));
  }
}

}  // namespace
}  // namespace lithe::routing
