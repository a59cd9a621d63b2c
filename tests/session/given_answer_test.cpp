#include "session/given_answer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "models/model.h"
#include "sentence_of.h"
#include "session/answer.h"
#include "session/batch_support.h"
#include "session/generation.h"
#include "session/prompt_rows.h"

// How likely a model makes a given answer.
namespace lithe::session {
namespace {

using lithe::test::sentence_of;

Request ask_given(const Session& session, const std::string& question, const std::string& answer,
                  const std::string& plan, std::size_t pictures = 1) {
  Request request = ask(session, std::vector<std::string>(pictures, "901.png"), question, plan);
  request.given_answer = answer;
  return request;
}

/// The losses of these tokens after the prompt, one forward pass for each token.
std::vector<double> losses_one_by_one(const Session& session, const Request& request,
                                      const std::vector<int64_t>& tokens) {
  const at::NoGradGuard no_gradient;
  const models::Model& model = session.model();
  Generation generation(model, plan_of(model, request));
  at::Tensor hidden = generation.prefill(build_prompt(model, request));
  std::vector<double> losses;
  for (const int64_t id : tokens) {
    const at::Tensor last = model.decoder.logits(hidden.narrow(0, hidden.size(0) - 1, 1)).to(at::kDouble);
    losses.push_back(-at::log_softmax(last, 1)[0][id].item<double>());
    hidden = generation.step(id);
  }
  return losses;
}

void expect_losses(const Answer& answer, const std::vector<double>& expected, const std::string& where) {
  ASSERT_EQ(answer.losses.size(), expected.size()) << where;
  ASSERT_EQ(answer.tokens.size(), expected.size()) << where;
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(answer.losses[i], expected[i], 2e-4) << where << ", token " << i;  // sums in another order
}

const std::vector<std::string> kAnswers{"Blue.", "A large blue rectangle, left of the middle.", "No."};

TEST(GivenAnswer, IsAsLikelyInOnePassAsTokenByToken) {
  for (const std::string name : {"easyvqa-dense", "easyvqa-pmod", "../tests/data/golden/llava_eas/checkpoint"}) {
    const Session& session = model(name);
    for (const std::string plan : {"", "fastv", "kv-compression", "shortv"}) {
      if (name.find("eas/") != name.npos && !plan.empty()) continue;  // attentions that are gone
      for (const std::string& text : kAnswers) {
        const Request request = ask_given(session, "what is the color of the rectangle?", text, plan);
        const Answer answer = session.answer(request);
        EXPECT_TRUE(answer.text.empty());
        EXPECT_EQ(answer.tokens, given_answer_ids(session.model(), request, prompt_ids(session.model(), request, 1)));
        expect_losses(answer, losses_one_by_one(session, request, answer.tokens), concat(name, " ", plan, " ", text));
      }
    }
  }
}

TEST(GivenAnswer, EndsWithTheTokenThatEndsAnswers) {
  const Session& session = model("easyvqa-dense");
  const Request request = ask_given(session, "what is the color of the rectangle?", " Blue.\n", "");
  EXPECT_EQ(given_answer_ids(session.model(), request, prompt_ids(session.model(), request, 1)),
            (std::vector<int64_t>{446, 457, 2}))
      << "as the model was trained; white space at the ends does not count";
}

// The model's own greedy answer is made of the most likely tokens.
TEST(GivenAnswer, OfTheModelItselfIsLikely) {
  const Session& session = model("easyvqa-dense");
  Request request = ask_given(session, "what is the color of the rectangle?", "", "");
  request.given_answer.reset();
  const Answer made = session.answer(request);
  request.given_answer = made.text;
  const Answer scored = session.answer(request);
  EXPECT_EQ(scored.tokens, made.tokens);
  for (const double loss : scored.losses) EXPECT_LT(loss, 0.7);
}

TEST(GivenAnswer, InABatchEqualsThatAlone) {
  const Session& session = model("easyvqa-pmod");
  std::vector<Request> requests;
  for (const std::string plan : {"", "uniform", "fastv"})
    for (const std::string& text : kAnswers) requests.push_back(ask_given(session, "is there a circle?", text, plan));
  requests.push_back(requests.front());
  requests.back().given_answer.reset();  // one that is generated among them
  for (const BatchLimits& limits : {BatchLimits{.sequences = 3}, BatchLimits{.sequences = 16, .prefill_rows = 200}}) {
    BatchRun batch(session, limits);
    for (std::size_t i = 0; i < requests.size(); ++i) batch.submit(static_cast<int64_t>(i), requests[i]);
    std::size_t done = 0;
    while (!batch.idle()) {
      for (const Outcome& outcome : batch.step()) {
        ASSERT_FALSE(outcome.error) << outcome.error->what();
        const Answer alone = session.answer(requests[static_cast<std::size_t>(outcome.ticket)]);
        EXPECT_EQ(outcome.answer.tokens, alone.tokens);
        if (alone.losses.empty())
          EXPECT_TRUE(outcome.answer.losses.empty());
        else
          expect_losses(outcome.answer, alone.losses, concat("request ", outcome.ticket));
        ++done;
      }
    }
    EXPECT_EQ(done, requests.size());
  }
}

TEST(GivenAnswer, IsRefusedIfItCannotBeScored) {
  const Session& session = model("easyvqa-dense");
  const auto refusal = [&](const std::string& text) {
    return sentence_of([&] { session.answer(ask_given(session, "is there a circle?", text, "")); });
  };
  EXPECT_NE(refusal(" \n").find("the answer is empty"), std::string::npos);
  EXPECT_NE(refusal("an <image> too").find("holds an image mark"), std::string::npos);
  std::string longest;
  for (int i = 0; i < 3000; ++i) longest += "circle ";
  EXPECT_NE(refusal(longest).find("and the model takes 2048 in all"), std::string::npos) << refusal(longest);
}

}  // namespace
}  // namespace lithe::session
