#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "tasks/bleu.h"
#include "tasks/scienceqa_prompt.h"
#include "tasks/scienceqa_score.h"
#include "tasks/slake_score.h"
#include "tasks/task.h"

namespace lithe::tasks {
namespace {

TEST(Bleu, IsNltks) {
  const std::array<double, 4> equal{0.25, 0.25, 0.25, 0.25};
  EXPECT_NEAR(sentence_bleu("the cat sat on the mat", "the cat sat on a mat", equal), 0.537284965911771, 1e-12);
  EXPECT_NEAR(sentence_bleu("the cat", "the cat sat", {1, 0, 0, 0}), std::exp(-0.5), 1e-12);
  // Precisions of 0 count as the smallest float64.
  const double smallest = std::numeric_limits<double>::min();
  const double expected = std::pow(smallest, 0.75);
  EXPECT_NEAR(sentence_bleu("cat", "cat", equal) / expected, 1, 1e-9);
  EXPECT_EQ(sentence_bleu("dog", "cat", equal), 0);
  EXPECT_EQ(sentence_bleu("", "cat", equal), 0);
}

TEST(ScienceLetter, NeedsACharacterAfterIt) {
  EXPECT_FALSE(science_letter("The answer is A\n", ScienceRule::lavin));
  EXPECT_EQ(science_letter("The answer is A\n The answer is B!", ScienceRule::lavin), 'B');
  EXPECT_EQ(science_letter("answer is C,", ScienceRule::llava), 'C');
  EXPECT_FALSE(science_letter("answer is C. Or the answer is D.", ScienceRule::llava));
  EXPECT_EQ(science_letter("E. because", ScienceRule::llava), 'E');
  EXPECT_FALSE(science_letter("F. because", ScienceRule::llava));
}

TEST(ScienceChoice, MustBeOneOfTheProblem) {
  const ScienceProblem problem{.choices = {"a", "b"}};
  EXPECT_EQ(science_choice('B', problem), 1);
  EXPECT_FALSE(science_choice('C', problem));
  EXPECT_FALSE(science_choice(std::nullopt, problem));
}

TEST(SciencePrompt, RefusesOtherForms) {
  EXPECT_THROW(SciencePrompt::parse("QCM"), Error);
  EXPECT_THROW(SciencePrompt::parse("MQC-A"), Error);
  EXPECT_THROW(SciencePrompt::parse("QCM-X+caption"), Error);
  EXPECT_TRUE(SciencePrompt::parse("CQM-A+caption").caption);
}

TEST(SlakeTable, LeavesOutWhatWasNotAsked) {
  SlakeTable closed;
  closed.add({"Yes", true}, "yes.");
  closed.add({"No", true}, "yes");
  const std::vector<Score> scores = closed.scores();
  ASSERT_EQ(scores.size(), 2U);
  EXPECT_EQ(scores[0].name, "closed");
  EXPECT_DOUBLE_EQ(scores[0].value, 50);
  EXPECT_EQ(scores[1].name, "overall");
  EXPECT_TRUE(SlakeTable().scores().empty());
}

TEST(Tasks, ANameThatIsAlmostRightGetsASuggestion) {
  try {
    task_named("sciencqa");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean scienceqa"), std::string::npos) << error.what();
  }
  EXPECT_THROW(open_task("slake", {.data = "x", .prompt = "QCM-A"}), Error);
}

}  // namespace
}  // namespace lithe::tasks
