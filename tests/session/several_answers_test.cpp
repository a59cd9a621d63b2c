// Several answers to one prompt in a batch.
#include <gtest/gtest.h>

#include <map>
#include <stdexcept>

#include "base/error.h"
#include "models/model.h"
#include "session/batch_memory.h"
#include "session/batch_support.h"

namespace lithe::session {
namespace {

/// Answers that are long and differ.
std::vector<AnswerOptions> draws(size_t count) {
  std::vector<AnswerOptions> answers(count);
  for (size_t i = 0; i < count; ++i) {
    answers[i].max_new_tokens = 90;  // past the end of a block of keys
    answers[i].ignore_eos = true;
    answers[i].sampling = SamplingPolicy{.temperature = 20, .seed = 5 + i};
  }
  return answers;
}

std::vector<Outcome> run(BatchRun& batch) {
  std::vector<Outcome> outcomes;
  while (!batch.idle()) {
    for (Outcome& outcome : batch.step()) outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

void expect_each_alone(const Request& request, const std::vector<AnswerOptions>& options, const Outcome& outcome) {
  ASSERT_FALSE(outcome.error) << outcome.error->what();
  ASSERT_EQ(outcome.more.size() + 1, options.size());
  for (size_t i = 0; i < options.size(); ++i) {
    const Answer& answer = i == 0 ? outcome.answer : outcome.more[i - 1];
    const Answer alone = demo().answer(request, options[i]);
    EXPECT_EQ(answer.tokens, alone.tokens) << "answer " << i;
    EXPECT_EQ(answer.text, alone.text);
    EXPECT_EQ(answer.stop, alone.stop);
    EXPECT_EQ(answer.timings.prompt_rows, alone.timings.prompt_rows);
    EXPECT_EQ(answer.cache.rows_at_end, alone.cache.rows_at_end);
    EXPECT_EQ(answer.kept.size(), alone.kept.size());
  }
}

TEST(SeveralAnswers, EqualThoseAlone) {
  for (const std::string plan : {"", "dense", "fastv"}) {
    SCOPED_TRACE(plan);
    const Request request = ask(demo(), {"901.png"}, "what is the color of the rectangle?", plan);
    BatchRun batch(demo());
    batch.submit_several(7, request, draws(5));
    const std::vector<Outcome> outcomes = run(batch);
    ASSERT_EQ(outcomes.size(), 1U);
    EXPECT_EQ(outcomes[0].ticket, 7);
    expect_each_alone(request, draws(5), outcomes[0]);
  }
}

TEST(SeveralAnswers, RunBesideOthersAndThePromptRunsOnce) {
  const Request first = ask("is there a circle?"), second = ask("what shape is in the image?");
  BatchRun batch(demo(), {.sequences = 8});
  batch.submit_several(1, first, draws(4));
  batch.submit(2, second, draws(1).front());
  batch.submit_several(3, second, draws(3));
  std::map<int64_t, Outcome> outcomes;
  for (Outcome& outcome : run(batch)) outcomes.emplace(outcome.ticket, std::move(outcome));
  ASSERT_EQ(outcomes.size(), 3U);
  expect_each_alone(first, draws(4), outcomes.at(1));
  expect_each_alone(second, draws(1), outcomes.at(2));
  expect_each_alone(second, draws(3), outcomes.at(3));
  EXPECT_EQ(batch.state().passes, 90);  // one with all prompts, and one for each token after the first
  EXPECT_EQ(batch.state().tokens, 8 * 90);
}

TEST(SeveralAnswers, EndAtTheirOwnTime) {
  const Request request = ask("what is the color of the rectangle?");
  std::vector<AnswerOptions> answers(3);  // greedy, greedy to the limit, and drawn
  for (AnswerOptions& options : answers) options.max_new_tokens = 12;
  answers[1].ignore_eos = true;
  answers[2].sampling = SamplingPolicy{.temperature = 20, .seed = 3};
  BatchRun batch(demo());
  batch.submit_several(1, request, answers);
  const std::vector<Outcome> outcomes = run(batch);
  ASSERT_EQ(outcomes.size(), 1U);
  expect_each_alone(request, answers, outcomes[0]);
  EXPECT_LT(outcomes[0].answer.tokens.size(), outcomes[0].more[0].tokens.size());
}

TEST(SeveralAnswers, AreNotMadeWhereOneIsGiven) {
  Request request = ask("is there a circle?");
  request.given_answer = "No.";
  BatchRun batch(demo());
  try {
    batch.submit_several(1, request, draws(2));
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::bad_request);
    EXPECT_NE(std::string(error.what()).find("2 answers to one prompt are asked for, and an answer is given"),
              std::string::npos)
        << error.what();
  }
  EXPECT_TRUE(batch.idle());
  batch.submit_several(2, request, draws(1));
  const std::vector<Outcome> outcomes = run(batch);
  ASSERT_EQ(outcomes.size(), 1U);
  EXPECT_FALSE(outcomes[0].answer.losses.empty());
}

TEST(SeveralAnswers, WaitUntilAllHaveAPlace) {
  const Request request = ask("is there a circle?");
  BatchRun batch(demo(), {.sequences = 4});
  batch.submit_several(1, request, draws(3));
  batch.submit_several(2, request, draws(3));
  int64_t most = 0;
  std::vector<int64_t> order;
  while (!batch.idle()) {
    for (const Outcome& outcome : batch.step()) order.push_back(outcome.ticket);
    most = std::max(most, batch.state().running);
  }
  EXPECT_EQ(order, (std::vector<int64_t>{1, 2}));
  EXPECT_LE(most, 4);
  EXPECT_THROW(batch.submit_several(3, request, draws(5)), Error);
  EXPECT_THROW(batch.submit_several(3, request, std::vector<AnswerOptions>{}), Error);
  EXPECT_TRUE(batch.idle());
}

TEST(SeveralAnswers, ReserveThePromptOnce) {
  const Request request = ask(demo(), {"901.png"}, "is there a circle?", "dense");
  const auto admitted = [&](size_t count) {
    BatchRun batch(demo());
    batch.submit_several(1, request, draws(count));
    batch.step();
    const int64_t after_prompt = batch.state().cache_bytes;
    batch.step();
    EXPECT_EQ(batch.state().cache_bytes, after_prompt);  // the same before the answers part and after that
    return after_prompt;
  };
  const models::Model& model = demo().model();
  const PromptRows prompt = build_prompt(model, request);
  const auto more = [&](int64_t further) { return branch_bytes(model, *request.plan, prompt, 90, further); };
  const int64_t one = admitted(1);
  EXPECT_EQ(admitted(2), one + more(1));
  EXPECT_EQ(admitted(9), one + more(8));
  EXPECT_LT(more(1), one);
  // Where a sequence has one block, the prompt's end is one copy more.
  EXPECT_EQ(copies_of_prompt(1, true), 1);
  EXPECT_EQ(copies_of_prompt(3, true), 4);
  EXPECT_EQ(copies_of_prompt(3, false), 3);
}

TEST(SeveralAnswers, AllEndWhenTheRequestIsCancelled) {
  const Request request = ask("is there a circle?");
  BatchRun batch(demo());
  batch.submit_several(1, request, draws(3));
  batch.submit_several(2, request, draws(2));
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(batch.step().empty());
  batch.cancel(1);
  const std::vector<Outcome> ended = batch.step();
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].ticket, 1);
  EXPECT_EQ(ended[0].answer.stop, StopReason::cancelled);
  const std::vector<Outcome> rest = run(batch);
  ASSERT_EQ(rest.size(), 1U);
  expect_each_alone(request, draws(2), rest[0]);
}

TEST(SeveralAnswers, AllEndWhenOneEndsItselfOrFails) {
  const Request request = ask("is there a circle?");
  for (const bool throws : {false, true}) {
    for (const size_t which : {0U, 2U}) {
      for (const int after : {0, 3}) {
        std::vector<AnswerOptions> answers = draws(3);
        int pieces = 0;
        answers[which].on_text = [&](const std::string&) -> bool {
          if (pieces++ < after) return true;
          if (throws) throw std::runtime_error("enough");
          return false;
        };
        BatchRun batch(demo());
        batch.submit_several(1, request, answers);
        const std::vector<Outcome> outcomes = run(batch);
        ASSERT_EQ(outcomes.size(), 1U);
        EXPECT_EQ(outcomes[0].error.has_value(), throws);
        if (throws) {
          EXPECT_THROW(std::rethrow_exception(outcomes[0].thrown), std::runtime_error);
        } else {
          EXPECT_EQ(outcomes[0].answer.stop, StopReason::cancelled);
        }
        EXPECT_LT(batch.state().passes, 90);
      }
    }
  }
}

TEST(SeveralAnswers, ABadOptionOfOneFailsTheRequest) {
  std::vector<AnswerOptions> answers = draws(3);
  answers[2].sampling->temperature = -1;
  BatchRun batch(demo());
  batch.submit_several(1, ask("is there a circle?"), answers);
  const std::vector<Outcome> outcomes = run(batch);
  ASSERT_EQ(outcomes.size(), 1U);
  ASSERT_TRUE(outcomes[0].error.has_value());
  EXPECT_NE(std::string(outcomes[0].error->what()).find("temperature"), std::string::npos);
}

}  // namespace
}  // namespace lithe::session
