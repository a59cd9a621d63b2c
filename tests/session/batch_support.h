#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "image/decode.h"
#include "plan/parse.h"
#include "session/batch.h"

// Questions to the shipped models, one by one and in batches.
namespace lithe::session {

inline const std::filesystem::path kModels = LITHE_SOURCE_DIR "/models";
inline const std::filesystem::path kPicture = kModels / "images/901.png";
inline constexpr int64_t kTokensOfPicture = 64;  // in the models of kModels

inline Session& model(const std::string& name) {
  static std::map<std::string, Session> open;
  const auto found = open.find(name);
  return found != open.end() ? found->second : open.emplace(name, Session::open(kModels / name)).first->second;
}

inline Session& demo() {
  return model("easyvqa-pmod");
}

inline Session& dense() {
  return model("easyvqa-dense");
}

inline Request ask(const Session& session, const std::vector<std::string>& pictures, const std::string& question,
                   const std::string& plan = {}) {
  Request request;
  for (const std::string& picture : pictures)
    request.images.push_back(image::read_image(kModels / "images" / picture, session.decode_options()));
  request.messages.push_back(text::user_message(question, pictures.size()));
  if (!plan.empty()) request.plan = plan::load_plan(plan, session.facts());
  return request;
}

/// Asks the demo model about copies of one picture, which are not decoded yet.
inline Request ask(const std::string& question, size_t pictures = 1) {
  Request request{.messages = {text::user_message(question, pictures)}};
  request.images.assign(pictures, image::Source::of_file(kPicture, demo().decode_options()));
  return request;
}

struct BatchQuestion {
  Request request;
  AnswerOptions options;
};

/// Questions with none, one or two pictures, of many lengths, under many plans, greedy or drawn.
inline std::vector<BatchQuestion> mixed_questions(Session& session, const std::vector<std::string>& plans) {
  const std::vector<std::vector<std::string>> pictures = {
      {"901.png"}, {"506.png"}, {}, {"100.png", "112.png"}, {"125.png"}};
  const std::vector<std::string> texts = {"what is the color of the rectangle?", "is there a blue shape?",
                                          "what shape is in the image?", "does the image not contain a circle?"};
  std::vector<BatchQuestion> questions;
  for (size_t i = 0; i < 20; ++i) {
    BatchQuestion question{
        ask(session, pictures[i % pictures.size()], texts[i % texts.size()], plans[i % plans.size()]), {}};
    question.options.max_new_tokens = static_cast<int64_t>(1 + i % 11);
    question.options.ignore_eos = i % 2 == 1;
    if (i % 3 == 1)
      question.options.sampling = SamplingPolicy{.temperature = 1.5, .top_k = 40, .top_p = 0.95, .seed = i};
    if (i % 5 == 4)
      question.options.sampling = SamplingPolicy{.temperature = 0.7, .repetition_penalty = 1.2, .seed = i};
    questions.push_back(std::move(question));
  }
  return questions;
}

/// Runs until nothing is left. order: gets the tickets as they end.
inline std::map<int64_t, Outcome> finish(BatchRun& batch, std::vector<int64_t>* order = nullptr) {
  std::map<int64_t, Outcome> outcomes;
  while (!batch.idle()) {
    for (Outcome& outcome : batch.step()) {
      if (order) order->push_back(outcome.ticket);
      EXPECT_TRUE(outcomes.emplace(outcome.ticket, std::move(outcome)).second);
    }
  }
  return outcomes;
}

inline std::map<int64_t, Outcome> run_all(Session& session, const std::vector<BatchQuestion>& questions,
                                          const BatchLimits& limits) {
  BatchRun batch(session, limits);
  for (size_t i = 0; i < questions.size(); ++i) {
    batch.submit(static_cast<int64_t>(i), questions[i].request, questions[i].options);
  }
  std::map<int64_t, Outcome> outcomes;
  while (!batch.idle()) {
    for (Outcome& outcome : batch.step()) EXPECT_TRUE(outcomes.emplace(outcome.ticket, std::move(outcome)).second);
    EXPECT_LE(batch.state().running, limits.sequences);
  }
  return outcomes;
}

inline void expect_same(const Answer& together, const Answer& alone, const std::string& where) {
  EXPECT_EQ(together.tokens, alone.tokens) << where;
  EXPECT_EQ(together.text, alone.text) << where;
  EXPECT_EQ(together.stop, alone.stop) << where;
  EXPECT_EQ(together.cache.rows_after_prefill, alone.cache.rows_after_prefill) << where;
  EXPECT_EQ(together.cache.rows_at_end, alone.cache.rows_at_end) << where;
  EXPECT_EQ(together.cache.bytes_at_end, alone.cache.bytes_at_end) << where;
  ASSERT_EQ(together.token_logits.size(), alone.token_logits.size()) << where;
  for (size_t i = 0; i < alone.token_logits.size(); ++i) {
    EXPECT_NEAR(together.token_logits[i], alone.token_logits[i], 1e-3) << where;  // sums in another order, 12 layers
  }
  ASSERT_EQ(together.kept.size(), alone.kept.size()) << where;
  for (size_t i = 0; i < alone.kept.size(); ++i) {
    ASSERT_EQ(together.kept[i].layers.size(), alone.kept[i].layers.size()) << where;
    for (size_t l = 0; l < alone.kept[i].layers.size(); ++l) {
      EXPECT_EQ(together.kept[i].layers[l].kept, alone.kept[i].layers[l].kept) << where;
      EXPECT_EQ(together.kept[i].layers[l].offered, alone.kept[i].layers[l].offered) << where;
    }
  }
}

}  // namespace lithe::session
