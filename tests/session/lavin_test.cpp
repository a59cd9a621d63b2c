// LaVIN and LaVIN-EAS answer as published through sessions, folded as unfolded, in batches as alone, in chats as
// afresh.
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "image/decode.h"
#include "io/safetensors.h"
#include "models/lavin_folder.h"
#include "models/model.h"
#include "sentence_of.h"
#include "session/batch.h"
#include "session/chat.h"
#include "session/fold.h"
#include "session/trace.h"
#include "temporary_folder.h"
#include "trace_deviation.h"

namespace lithe::session {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(LITHE_TEST_DATA) / "golden";

/// One of the published questions, about the picture of its problem if it has one.
struct Asked {
  std::string question;
  std::optional<fs::path> picture;
  std::string answer;  ///< As published; of LaVIN-EAS with a frozen token mean.
};

std::vector<Asked> published_questions(const std::string& name) {
  const Json json = read_json_file(kGolden / name / "case.json");
  std::vector<Asked> all;
  for (size_t i = 0; i < json.at("prompts").size(); ++i) {
    const std::string kind = json.at("config").at("skip").empty() ? "gen_single" : "gen_frozen";
    const std::string text = json.at("generation").at(kind + std::to_string(i) + ".").at("texts").at(0);
    Asked& asked =
        all.emplace_back(Asked{json.at("prompts").at(i), std::nullopt, text.substr(text.find("Response:") + 9)});
    const fs::path picture = kGolden / "lavin/inputs/scienceqa/images/test" / std::to_string(5 + i) / "image.png";
    if (!text.starts_with("Image: N/A")) asked.picture = picture;
  }
  return all;
}

Request request_of(const Session& session, const Asked& asked) {
  Request request;
  if (asked.picture) request.images.push_back(image::read_image(*asked.picture, session.decode_options()));
  request.messages.push_back(text::user_message(asked.question, request.images.size()));
  return request;
}

const AnswerOptions kTwelve{.max_new_tokens = 12, .ignore_eos = true};

class LavinSession : public ::testing::TestWithParam<const char*> {
 protected:
  LavinSession() { test::link_lavin(GetParam(), temp_ / "model"); }
  Session open() { return Session::open(temp_ / "model"); }

  io::SafetensorsFile traced(const Session& session, const Asked& asked) {
    const fs::path file = temp_ / concat("trace-", traces_++, ".safetensors");
    write_trace(session, request_of(session, asked), {.max_tokens = 12, .ignore_eos = true}, file);
    return io::open_safetensors(file);
  }

  void expect_equal(const Session& whole, const Session& folded, const Asked& asked) {
    SCOPED_TRACE(asked.question);
    const io::SafetensorsFile a = traced(whole, asked), b = traced(folded, asked);
    EXPECT_LT(test::deviation(a, b, "step_logits"), 1e-5);
    const auto left = a.tensors.at("tokens").values<int64_t>(), right = b.tensors.at("tokens").values<int64_t>();
    EXPECT_TRUE(std::equal(left.begin(), left.end(), right.begin(), right.end()));
  }

  test::TemporaryFolder temp_;
  int64_t traces_ = 0;
};

TEST_P(LavinSession, AnswersAsPublished) {
  const Session session = open();
  for (const Asked& asked : published_questions(GetParam()))
    EXPECT_EQ(session.answer(request_of(session, asked), kTwelve).text, asked.answer) << asked.question;
}

TEST_P(LavinSession, FoldedFrozenIsTheSame) {
  const Session whole = Session::open(temp_ / "model", {.weights = "float32"});
  for (const Asked& asked : published_questions(GetParam())) {
    const fs::path out = temp_ / "folded";
    fs::remove_all(out);
    const FoldReport report = fold_model(whole, request_of(whole, asked), {.freeze = true, .new_tokens = 12}, out);
    EXPECT_EQ(report.tokens_equal, 12);
    EXPECT_LT(report.largest_deviation, 1e-5 * report.largest_logit);
    const Session folded = Session::open(out);
    EXPECT_EQ(folded.family(), "lavin");
    EXPECT_EQ(folded.plan().layers.size(), whole.plan().layers.size());
    expect_equal(whole, folded, asked);
  }
}

/// The sentence with which folding is refused.
std::string refusal_of_fold(const Session& session, const Asked& asked, bool freeze, const fs::path& out) {
  return test::sentence_of([&] { fold_model(session, request_of(session, asked), {.freeze = freeze}, out); });
}

TEST_P(LavinSession, WhatCannotBeFoldedIsRefusedWithAWayOut) {
  if (std::string(GetParam()) == "lavin") return;
  const Asked asked = published_questions(GetParam()).front();
  EXPECT_NE(refusal_of_fold(open(), asked, false, temp_ / "folded").find("give --freeze"), std::string::npos);
  std::ofstream(temp_ / "model/config.json") << R"({"model_type": "lavin", "pia_mean": "published"})";
  const std::string published = refusal_of_fold(open(), asked, true, temp_ / "folded");
  EXPECT_NE(published.find("the mean of a PIA changes with every token"), std::string::npos) << published;
}

TEST_P(LavinSession, ABatchGivesWhatItsQuestionsGiveAlone) {
  const Session session = open();
  BatchRun batch(session, {});
  std::map<int64_t, std::vector<int64_t>> alone;
  int64_t ticket = 0;
  for (const Asked& asked : published_questions(GetParam())) {
    alone[ticket] = session.answer(request_of(session, asked), kTwelve).tokens;
    batch.submit(ticket++, request_of(session, asked), kTwelve);
  }
  size_t answered = 0;
  while (!batch.idle()) {
    for (const Outcome& outcome : batch.step()) {
      EXPECT_FALSE(outcome.error) << outcome.ticket;
      EXPECT_EQ(outcome.answer.tokens, alone.at(outcome.ticket));
      ++answered;
    }
  }
  EXPECT_EQ(answered, alone.size());
}

TEST_P(LavinSession, EveryTurnEqualsAFreshRun) {
  const Session session = open();
  Chat chat(session);
  std::vector<image::Source> pictures;
  for (const Asked& asked : published_questions(GetParam())) {
    Request fresh{.messages = chat.messages()};
    std::vector<image::Source> more;
    if (asked.picture) more.push_back(image::read_image(*asked.picture, session.decode_options()));
    fresh.messages.push_back(text::user_message(asked.question, more.size()));
    pictures.insert(pictures.end(), more.begin(), more.end());
    fresh.images = pictures;
    const Answer expected = session.answer(fresh, {.max_new_tokens = 5, .ignore_eos = true});
    const Answer answer = chat.ask(asked.question, more, {.max_new_tokens = 5, .ignore_eos = true});
    EXPECT_EQ(answer.tokens, expected.tokens);
    EXPECT_EQ(answer.timings.reused_rows, 0);  // gates read the prompt
  }
}

// Without adapters in the decoder the prompt's rows may stay, but not those that were decoded at other places.
TEST_P(LavinSession, AFoldedChatReusesItsPrompt) {
  const Session whole = open();
  const Asked asked = published_questions(GetParam()).front();
  fold_model(whole, request_of(whole, asked), {.freeze = true}, temp_ / "folded");
  const Session session = Session::open(temp_ / "folded");
  Chat chat(session);
  const AnswerOptions five{.max_new_tokens = 5, .ignore_eos = true};
  const Answer first = chat.ask(asked.question, {}, five);
  Request fresh{.messages = chat.messages()};
  fresh.messages.push_back(text::user_message("And how wide?", 0));
  const Answer expected = session.answer(fresh, five), second = chat.ask("And how wide?", {}, five);
  EXPECT_EQ(second.tokens, expected.tokens);
  EXPECT_GT(second.timings.reused_rows, 0);
  EXPECT_LE(second.timings.reused_rows, first.timings.prompt_rows);
}

INSTANTIATE_TEST_SUITE_P(Hosts, LavinSession, ::testing::Values("lavin", "lavin_eas"));

}  // namespace
}  // namespace lithe::session
