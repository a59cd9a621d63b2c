#include "session/chat.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/json.h"
#include "image/decode.h"
#include "models/model.h"
#include "plan/parse.h"
#include "session/batch_support.h"
#include "session/prompt_rows.h"

namespace lithe::session {
namespace {

const std::filesystem::path kGolden = LITHE_TEST_DATA "/golden";

Session& in_float32(const std::filesystem::path& folder) {
  static std::map<std::string, Session> open;
  const auto found = open.find(folder.string());
  if (found != open.end()) return found->second;
  return open.emplace(folder.string(), Session::open(folder, {.weights = "float32"})).first->second;
}

struct ChatTurn {
  std::vector<std::string> pictures;
  std::string question;
};

const std::vector<ChatTurn> kTurns = {{{"901.png"}, "what is the color of the rectangle?"},
                                      {{}, "is there a blue shape?"},
                                      {{"506.png", "100.png"}, "what shape is in the image?"},
                                      {{}, "does the image not contain a circle?"}};

/// A chat beside a fresh run of the same conversation, turn by turn.
class Twin {
 public:
  Twin(Session& session, const std::string& plan) : session_(session), chat_(session) {
    if (plan.empty()) return;
    plan_ = plan.front() == '{' ? plan::parse_plan(parse_json(plan, "test"), "test", session.facts())
                                : plan::load_plan(plan, session.facts());
    chat_.use_plan(plan_);
  }

  Request request(const ChatTurn& turn) {
    Request request{.messages = chat_.messages(), .images = pictures_, .plan = plan_};
    request.messages.push_back(text::user_message(turn.question, turn.pictures.size()));
    for (const image::Source& picture : pictures_of(turn)) request.images.push_back(picture);
    return request;
  }

  /// Asks both, and expects one answer. Returns the rows that the chat took from the turn before.
  int64_t ask(const ChatTurn& turn, const AnswerOptions& options, const std::string& where) {
    const Answer fresh = session_.answer(request(turn), options);
    const std::vector<image::Source> more = pictures_of(turn);
    last_ = chat_.ask(turn.question, more, options);
    pictures_.insert(pictures_.end(), more.begin(), more.end());
    EXPECT_EQ(last_.tokens, fresh.tokens) << where;
    EXPECT_EQ(last_.text, fresh.text) << where;
    EXPECT_EQ(last_.stop, fresh.stop) << where;
    EXPECT_EQ(last_.timings.prompt_rows, fresh.timings.prompt_rows) << where;
    EXPECT_EQ(last_.cache.rows_after_prefill, fresh.cache.rows_after_prefill) << where;
    EXPECT_EQ(last_.cache.rows_at_end, fresh.cache.rows_at_end) << where;
    for (size_t i = 0; i < std::min(last_.token_logits.size(), fresh.token_logits.size()); ++i) {
      EXPECT_NEAR(last_.token_logits[i], fresh.token_logits[i], 1e-4 * std::abs(fresh.token_logits[i]) + 1e-5)
          << where << ", token " << i;
    }
    return last_.timings.reused_rows;
  }

  Chat& chat() { return chat_; }
  const Answer& last() const { return last_; }
  /// Rows that ran in the turn before: its prompt, and its answer but for the last token.
  int64_t rows_run() const { return last_.timings.prompt_rows + static_cast<int64_t>(last_.tokens.size()) - 1; }

 private:
  std::vector<image::Source> pictures_of(const ChatTurn& turn) const {
    std::vector<image::Source> pictures;
    for (const std::string& picture : turn.pictures) {
      const std::filesystem::path file = picture.front() == '/' ? picture : (kModels / "images" / picture).string();
      pictures.push_back(image::read_image(file, session_.decode_options()));
    }
    return pictures;
  }

  Session& session_;
  Chat chat_;
  std::optional<plan::Plan> plan_;
  std::vector<image::Source> pictures_;
  Answer last_;
};

/// How far back a turn of kTurns may go: to the end of the last answer, to its beginning, to the first picture.
enum class Reach { answer, question, picture, nothing };

struct Expectation {
  std::string plan;
  Reach same_pictures, more_pictures;
};

void expect_reach(const std::string& folder, const Expectation& expected) {
  Session& session = in_float32(kModels / folder);
  Twin twin(session, expected.plan);
  int64_t first_picture = 0, prompt = 0, run = 0;
  for (size_t i = 0; i < kTurns.size(); ++i) {
    const std::string where = concat(folder, ", plan ", expected.plan, ", turn ", i);
    if (i == 0) {
      const std::vector<int64_t> ids = prompt_ids(session.model(), twin.request(kTurns[0]), 1);
      first_picture = std::find(ids.begin(), ids.end(), text::kImageId) - ids.begin();
    }
    const int64_t reused = twin.ask(kTurns[i], {}, where);
    const Reach reach = kTurns[i].pictures.empty() ? expected.same_pictures : expected.more_pictures;
    if (i == 0 || reach == Reach::nothing) {
      EXPECT_EQ(reused, 0) << where;
    } else {
      EXPECT_EQ(reused, reach == Reach::answer ? run : reach == Reach::question ? prompt : first_picture) << where;
    }
    prompt = twin.last().timings.prompt_rows;
    run = twin.rows_run();
  }
}

constexpr const char* kTextFrozen =
    R"({"format": "lithe-plan/1", "name": "text frozen", "layers": [{"layer": 5, "rules": [{"group": "text",
        "keep_share": 0.0, "by": "uniform",
        "others": {"query": true, "key_value": true, "cache": true, "feed_forward": false}}]}]})";
constexpr const char* kHalfOfAll =
    R"({"format": "lithe-plan/1", "name": "half of all", "layers": [{"layer": 5, "rules": [{"group": "all",
        "keep_share": 0.5, "by": "random", "seed": 3,
        "others": {"query": true, "key_value": true, "cache": true, "feed_forward": false}}]}]})";
constexpr const char* kSkipped = R"({"format": "lithe-plan/1", "name": "eas", "method": "eas", "layers": [3, 7]})";

TEST(Chat, ASecondPictureMayChangeTheRowsOfTheFirst) {
  // LLaVA-OneVision tiles a picture only if it is alone in its conversation.
  Session& session = in_float32(kGolden / "llava_onevision/checkpoint");
  Twin twin(session, "");
  EXPECT_EQ(twin.ask(kTurns[0], {.max_new_tokens = 6, .ignore_eos = true}, "one picture"), 0);
  const int64_t alone = twin.last().timings.prompt_rows;
  EXPECT_GE(twin.ask(kTurns[1], {.max_new_tokens = 6, .ignore_eos = true}, "the same picture"), alone);
  EXPECT_EQ(twin.ask(kTurns[2], {.max_new_tokens = 6, .ignore_eos = true}, "three pictures"), 0);
  EXPECT_LT(twin.last().timings.prompt_rows, alone);
  EXPECT_GT(twin.ask(kTurns[3], {.max_new_tokens = 6, .ignore_eos = true}, "the same three"), 0);
}

TEST(Chat, EveryTurnEqualsAFreshRun) {
  expect_reach("easyvqa-pmod", {"", Reach::answer, Reach::picture});
  expect_reach("easyvqa-pmod", {"dense", Reach::answer, Reach::answer});
  expect_reach("easyvqa-pmod", {"p-mod", Reach::answer, Reach::picture});
  expect_reach("easyvqa-dense", {"", Reach::answer, Reach::answer});
  expect_reach("easyvqa-dense", {kSkipped, Reach::answer, Reach::answer});
  expect_reach("easyvqa-dense", {"shortv", Reach::answer, Reach::answer});
  expect_reach("easyvqa-dense", {"vision-attention-skip", Reach::answer, Reach::answer});
  expect_reach("easyvqa-dense", {"random", Reach::answer, Reach::picture});
  expect_reach("easyvqa-dense", {"uniform", Reach::answer, Reach::picture});
  expect_reach("easyvqa-dense", {"fastv", Reach::picture, Reach::picture});
  expect_reach("easyvqa-dense", {"pyramiddrop", Reach::picture, Reach::picture});
  expect_reach("easyvqa-dense", {"kv-compression", Reach::picture, Reach::picture});
  for (const char* plan : {"divprune", "k-norm", "v2drop", "visionzip", "prumerge-plus", "pooled-picture"})
    expect_reach("easyvqa-dense", {plan, Reach::answer, Reach::picture});
  for (const char* plan : {"dart", "conditional-dpp", "text-attention", "late-entry"})
    expect_reach("easyvqa-dense", {plan, Reach::picture, Reach::picture});
  expect_reach("easyvqa-dense", {"vtw", Reach::answer, Reach::answer});
  expect_reach("easyvqa-dense", {kTextFrozen, Reach::question, Reach::question});
  expect_reach("easyvqa-dense", {kHalfOfAll, Reach::nothing, Reach::nothing});
}

// Tiny random models of other layouts, among them tiles with a high resolution and adapters over the whole prompt.
TEST(Chat, OtherLayoutsToo) {
  const std::vector<std::pair<std::string, bool>> folders = {
      {"hf_llava15", true}, {"hf_llavanext", true}, {"pmod_llavanext", true}, {"llava_eas", false}};
  for (const auto& [folder, reuses] : folders) {
    Session& session = in_float32(kGolden / folder / "checkpoint");
    Twin twin(session, {});
    const AnswerOptions options{.max_new_tokens = 6, .ignore_eos = true};
    twin.ask({{"901.png"}, "What is it?"}, options, folder + ", turn 0");
    const int64_t prompt = twin.last().timings.prompt_rows;
    const int64_t text_turn = twin.ask({{}, "Is it round?"}, options, folder + ", turn 1");
    const int64_t picture_turn = twin.ask({{"506.png"}, "And this?"}, options, folder + ", turn 2");
    EXPECT_EQ(text_turn >= prompt - 2, reuses) << folder << " reused " << text_turn << " of " << prompt;
    EXPECT_EQ(picture_turn > 0, reuses) << folder;
  }
}

// Past the pre-training, `dynamic` turns the keys of a prompt by its length, so no row of the turn before can stay.
TEST(Chat, DynamicRopeRunsAGrowingConversationAnew) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "lithe_chat_dynamic_rope";
  std::filesystem::remove_all(folder);
  std::filesystem::copy(kGolden / "hf_llava15/checkpoint", folder);
  Json config = read_json_file(folder / "config.json");
  config["text_config"]["max_position_embeddings"] = 64;
  config["text_config"]["rope_scaling"] = {{"type", "dynamic"}, {"factor", 8.0}};
  std::filesystem::remove(folder / "config.json");
  std::ofstream(folder / "config.json") << config;
  Session& session = in_float32(folder);
  Twin twin(session, {});
  const AnswerOptions options{.max_new_tokens = 6, .ignore_eos = true};
  for (int turn = 0; turn < 5; ++turn) {
    const int64_t before = turn == 0 ? 0 : twin.rows_run();
    const int64_t reused =
        twin.ask({{}, "Is the round one on the left or on the right?"}, options, concat("turn ", turn));
    EXPECT_EQ(reused > 0, turn > 0 && twin.last().timings.prompt_rows <= 64 && before <= 64) << "turn " << turn;
  }
  EXPECT_GT(twin.last().timings.prompt_rows, 64);
  Request request{.text = std::string(4000, 'a'), .raw = true};
  EXPECT_THROW(session.answer(request, options), PromptTooLong);  // 8 x 64 are the most
}

// The tokens after an EOS that was ignored do not come back as they were written.
TEST(Chat, GoesBackToWhereAnAnswerReadsDifferently) {
  Twin twin(in_float32(kModels / "easyvqa-pmod"), "dense");
  for (size_t i = 0; i < kTurns.size(); ++i) {
    const int64_t before = i == 0 ? 0 : twin.rows_run();
    const int64_t reused = twin.ask(kTurns[i], {.max_new_tokens = 12, .ignore_eos = true}, concat("turn ", i));
    EXPECT_LE(reused, before);
  }
}

TEST(Chat, DrawsAsAFreshRunDoes) {
  Twin twin(in_float32(kModels / "easyvqa-pmod"), {});
  for (size_t i = 0; i < kTurns.size(); ++i) {
    const SamplingPolicy policy{.temperature = 1.2, .top_k = 20, .repetition_penalty = 1.3, .seed = i};
    twin.ask(kTurns[i], {.max_new_tokens = 10, .sampling = policy}, concat("turn ", i));
  }
}

TEST(Chat, AnAnswerThatWasEndedStaysAsFarAsItCame) {
  Twin twin(in_float32(kModels / "easyvqa-dense"), {});
  twin.ask(kTurns[0], {}, "turn 0");
  const Answer ended = twin.chat().ask("is there a circle?", {}, {.on_text = [](const std::string&) { return false; }});
  EXPECT_EQ(ended.stop, StopReason::cancelled);
  EXPECT_EQ(twin.chat().messages().back().parts.front().text, ended.text);
  EXPECT_GT(twin.ask(kTurns[3], {}, "turn 2"), 64);
}

TEST(Chat, ChangesItsPlanBetweenTurns) {
  Session& session = in_float32(kModels / "easyvqa-pmod");
  Chat chat(session);
  const image::Image picture = image::read_image(kPicture, session.decode_options());
  chat.ask(kTurns[0].question, {picture});
  chat.use_plan(plan::load_plan("dense", session.facts()));
  EXPECT_EQ(chat.plan().name, "dense");
  Request request{.messages = chat.messages(), .images = {picture}, .plan = chat.plan()};
  request.messages.push_back(text::user_message(kTurns[1].question, 0));
  const Answer fresh = session.answer(request), answer = chat.ask(kTurns[1].question, {});
  EXPECT_EQ(answer.tokens, fresh.tokens);
  EXPECT_EQ(answer.cache.rows_at_end, fresh.cache.rows_at_end);
  EXPECT_EQ(answer.timings.reused_rows, 0);
  chat.use_plan(plan::load_plan("dense", session.facts()));
  EXPECT_GT(chat.ask(kTurns[1].question, {}).timings.reused_rows, 64) << "the same plan again";
  plan::Plan wrong{.name = "wrong", .layers = {{.layer = 99}}};
  EXPECT_THROW(chat.use_plan(wrong), Error);
  EXPECT_EQ(chat.plan().name, "dense");
  chat.use_plan(std::nullopt);
  EXPECT_EQ(chat.plan(), session.plan());
}

// Pictures of earlier turns are encoded again under a plan that skips another part of the tower, or that scores or
// merges the rows of pictures.
TEST(Chat, ChangesWhatBecomesOfPicturesBetweenTurns) {
  Session& session = in_float32(kModels / "easyvqa-dense");
  const image::Image picture = image::read_image(kPicture, session.decode_options());
  const plan::Plan skipped = plan::parse_plan(
      parse_json(R"({"method": "eas", "stream": "vision_tower", "layers": [1]})", "test"), "test", session.facts());
  const AnswerOptions options{.max_new_tokens = 6, .ignore_eos = true};
  const plan::Plan merged = plan::load_plan("visionzip", session.facts());
  const std::optional<plan::Plan> own;
  Chat chat(session);
  std::vector<image::Source> pictures;
  for (const std::optional<plan::Plan>& plan : {own, std::optional(skipped), own, std::optional(merged), own}) {
    chat.use_plan(plan);
    pictures.push_back(picture);
    Request request{.messages = chat.messages(), .images = pictures, .plan = plan};
    request.messages.push_back(text::user_message(kTurns[0].question, 1));
    const Answer fresh = session.answer(request, options), answer = chat.ask(kTurns[0].question, {picture}, options);
    EXPECT_EQ(answer.tokens, fresh.tokens);
    ASSERT_EQ(answer.token_logits.size(), fresh.token_logits.size());
    for (size_t i = 0; i < fresh.token_logits.size(); ++i)
      EXPECT_NEAR(answer.token_logits[i], fresh.token_logits[i], 1e-4 * std::abs(fresh.token_logits[i]) + 1e-5);
  }
}

TEST(Chat, AfterAResetItBeginsAnew) {
  Session& session = in_float32(kModels / "easyvqa-dense");
  Chat chat(session, "Answer in one word.");
  ASSERT_EQ(chat.messages().size(), 1U);
  const Answer first = chat.ask("is there a circle?", {});
  chat.ask("is there a square?", {});
  EXPECT_EQ(chat.messages().size(), 5U);
  chat.reset();
  ASSERT_EQ(chat.messages().size(), 1U);
  EXPECT_EQ(chat.messages().front().role, "system");
  const Answer again = chat.ask("is there a circle?", {});
  EXPECT_EQ(again.tokens, first.tokens);
  EXPECT_EQ(again.timings.reused_rows, 0);
}

TEST(Chat, AWrongMessageLeavesItAsItWas) {
  Twin twin(in_float32(kModels / "easyvqa-pmod"), {});
  twin.ask(kTurns[0], {}, "turn 0");
  const size_t messages = twin.chat().messages().size();
  const image::Image picture = image::read_image(kPicture, in_float32(kModels / "easyvqa-pmod").decode_options());
  EXPECT_THROW(twin.chat().ask("one <image> two <image>", {picture}), Error);
  EXPECT_THROW(twin.chat().ask("what?", {}, {.max_new_tokens = 0}), Error);
  std::string endless;
  for (int i = 0; i < 3000; ++i) endless += "blue ";
  EXPECT_THROW(twin.chat().ask(endless, {picture}), ConversationTooLong);
  EXPECT_EQ(twin.chat().messages().size(), messages);
  twin.ask(kTurns[1], {}, "turn 1");
}

TEST(Chat, ManyTurnsUntilThereIsNoRoom) {
  Session& session = in_float32(kModels / "easyvqa-dense");
  Chat chat(session);
  std::string question;
  for (int i = 0; i < 8; ++i) question += "is there a blue shape? ";
  int64_t turns = 0, reused = 0;
  try {
    for (; turns < 400; ++turns) reused += chat.ask(question, {}).timings.reused_rows;
    FAIL() << "the model takes 2048 tokens";
  } catch (const ConversationTooLong& error) {
    EXPECT_NE(std::string(error.what()).find("2048"), std::string::npos) << error.what();
  }
  EXPECT_GT(turns, 10);
  EXPECT_GT(reused, turns * 500);
  chat.reset();
  EXPECT_GT(chat.ask("is there a blue shape?", {}).tokens.size(), 0U);
}

}  // namespace
}  // namespace lithe::session
