#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <thread>

#include "lithe/model.h"

namespace lithe {
namespace {

const std::string kModel = LITHE_SOURCE_DIR "/models/easyvqa-pmod";
const std::string kPicture = LITHE_SOURCE_DIR "/models/images/901.png";

Model& demo() {
  static Model model = Model::load(kModel);
  return model;
}

Question question() {
  Question question;
  question.prompt = "what is the color of the rectangle?";
  question.pictures = {Picture::from_file(kPicture)};
  return question;
}

template <class Work>
void expect_failure(Cause cause, const std::string& words, const Work& work) {
  try {
    work();
    ADD_FAILURE() << "nothing was thrown; expected: " << words;
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.cause(), cause) << failure.what();
    EXPECT_NE(std::string(failure.what()).find(words), std::string::npos) << failure.what();
    EXPECT_EQ(std::string(failure.what()).find('\n'), std::string::npos) << failure.what();
  }
}

TEST(Model, AnswersAsTheReferenceDoes) {
  std::string streamed;
  const Answer answer = demo().ask(question(), [&](std::string_view piece) {
    streamed += piece;
    return true;
  });
  EXPECT_EQ(answer.text, "Blue.");
  EXPECT_EQ(streamed, "Blue.");
  EXPECT_EQ(answer.tokens, (std::vector<std::int64_t>{446, 457, 2}));
  EXPECT_EQ(answer.stop, StopReason::eos);
  EXPECT_STREQ(name_of(answer.stop), "eos");
  EXPECT_EQ(answer.vision_rows, 64);
  EXPECT_GT(answer.prompt_rows, 64);
  EXPECT_GT(answer.prefill_ms, 0);
}

TEST(Model, TakesLoraOverAModel) {
  const std::string base = LITHE_SOURCE_DIR "/tests/data/golden/hf_llava15/checkpoint";
  const Picture picture = Picture::from_file(kPicture);
  const Model plain = Model::load(base), tuned = Model::load(base, {.lora = LITHE_SOURCE_DIR "/tests/data/lora/hf"});
  EXPECT_GT(tuned.weight_bytes(), plain.weight_bytes());
  EXPECT_NE(tuned.features(picture).projected, plain.features(picture).projected);
  expect_failure(Cause::bad_file, "adapter_config.json", [&] { Model::load(base, {.lora = kModel}); });
}

TEST(Model, PlansChangeWhatIsCached) {
  Question dense = question();
  dense.plan = "dense";
  EXPECT_GT(demo().ask(dense).cache_bytes, demo().ask(question()).cache_bytes);
  EXPECT_EQ(demo().plan(), "p-mod");
  dense.plan = "no-such-plan";
  expect_failure(Cause::bad_request, "no-such-plan", [&] { demo().ask(dense); });
}

TEST(Model, PicturesFromMemoryAreThoseOfTheFile) {
  std::ifstream in(kPicture, std::ios::binary);
  const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(in), {}};
  const PictureFeatures from_file = demo().features(Picture::from_file(kPicture));
  const PictureFeatures from_memory = demo().features(Picture::from_memory(bytes));
  EXPECT_EQ(from_memory.tower, from_file.tower);
  EXPECT_EQ(from_memory.projected, from_file.projected);
  const PictureFeatures black = demo().features(Picture::from_rgb(std::vector<std::uint8_t>(8 * 6 * 3), 8, 6));
  EXPECT_NE(black.projected, from_file.projected);
}

TEST(Model, FeaturesHaveTheShapesTheySay) {
  const PictureFeatures features = demo().features(Picture::from_file(kPicture));
  EXPECT_EQ(features.tiles, 1);
  EXPECT_EQ(features.tokens, 64);
  EXPECT_EQ(features.rows, 64);
  EXPECT_EQ(features.tower.size(), static_cast<std::size_t>(features.tiles * features.tokens * features.width));
  EXPECT_EQ(features.projected.size(), static_cast<std::size_t>(features.rows * features.hidden));
}

TEST(Model, ACallbackEndsTheAnswer) {
  const Answer answer = demo().ask(question(), [](std::string_view) { return false; });
  EXPECT_EQ(answer.stop, StopReason::cancelled);
  EXPECT_LT(answer.tokens.size(), 3U);
}

TEST(Model, WhatACallbackThrowsReachesTheCaller) {
  EXPECT_THROW(demo().ask(question(), [](std::string_view) -> bool { throw std::out_of_range("mine"); }),
               std::out_of_range);
  EXPECT_EQ(demo().ask(question()).text, "Blue.");
}

TEST(Model, SaysWhatEachLayerRanAndWhatThatCosts) {
  Question asked = question();
  const Answer routed = demo().ask(asked);
  asked.plan = "dense";
  const Answer dense = demo().ask(asked);
  ASSERT_EQ(routed.layer_rows.size(), dense.layer_rows.size());
  EXPECT_EQ(dense.layer_rows, std::vector<std::int64_t>(dense.layer_rows.size(), dense.prompt_rows));
  EXPECT_EQ(dense.layer_cache_rows, dense.layer_rows);
  EXPECT_LT(routed.layer_rows.back(), routed.prompt_rows);
  EXPECT_EQ(routed.layer_cache_rows, routed.layer_rows);
  EXPECT_EQ(dense.counted_share(), 1);
  EXPECT_EQ(dense.prefill_flops, routed.dense_prefill_flops);
  EXPECT_LT(routed.counted_share(), 0.95);
}

TEST(Model, IsFoundByName) {
  EXPECT_EQ(Model::load("demo").name(), "easyvqa-pmod");
  EXPECT_EQ(Model::load("demo-dense").plan(), "dense");
  expect_failure(Cause::bad_file, "no-such/model", [] { Model::load("no-such/model"); });
}

TEST(Model, APlanMayBeJsonText) {
  Question asked = question();
  asked.plan = R"(  {"layers": [{"layer": 1, "rules": [{"group": "vision", "keep_count": 5, "by": "uniform"}]}]})";
  const Answer answer = demo().ask(asked);
  EXPECT_EQ(answer.layer_rows.at(0), answer.prompt_rows);
  EXPECT_EQ(answer.layer_rows.at(1), answer.prompt_rows - 64 + 5);
  asked.plan = R"(["fastv"])";
  EXPECT_LT(demo().ask(asked).counted_share(), 1);
  asked.plan = "{\"layers\": 3}";
  expect_failure(Cause::bad_file, "layers", [&] { demo().ask(asked); });
}

TEST(Model, ATokenEndsTheAnswerFromAnotherThread) {
  std::stop_source source;
  Listener listener{.cancel = source.get_token()};
  std::vector<Progress> heard;
  listener.on_progress = [&](const Progress& progress) {
    heard.push_back(progress);
    if (progress.stage == Progress::Stage::prefill && progress.done == 3)
      std::thread([&] { source.request_stop(); }).join();
  };
  const Answer answer = demo().ask(question(), listener);
  EXPECT_EQ(answer.stop, StopReason::cancelled);
  EXPECT_TRUE(answer.tokens.empty());
  EXPECT_EQ(heard.front().stage, Progress::Stage::pictures);
  EXPECT_EQ(heard.back().done, 3);
  EXPECT_GT(heard.back().total, 3);
  EXPECT_THROW(
      demo().ask(question(), Listener{.on_progress = [](const Progress&) { throw std::out_of_range("mine"); }}),
      std::out_of_range);
}

TEST(Conversation, EveryTurnIsTheWholeConversationAnew) {
  Conversation conversation(demo());
  const Answer first = conversation.ask(question());
  EXPECT_EQ(first.text, "Blue.");
  EXPECT_EQ(first.reused_rows, 0);
  Question more;
  more.prompt = "is there a blue shape?";
  const Answer second = conversation.ask(more);
  EXPECT_GT(second.reused_rows, 64);
  EXPECT_EQ(second.vision_rows, 64);
  Question whole = question();
  whole.raw = true;
  whole.prompt =
      "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
      "and polite answers to the user's questions. USER: <image>\nwhat is the color of the rectangle? ASSISTANT: "
      "Blue.</s>USER: is there a blue shape? ASSISTANT:";
  EXPECT_EQ(second.tokens, demo().ask(whole).tokens);
  conversation.use_plan("dense");
  EXPECT_EQ(conversation.plan(), "dense");
  EXPECT_EQ(conversation.ask(more).counted_share(), 1);
  conversation.use_plan(std::nullopt);
  EXPECT_EQ(conversation.plan(), "p-mod");
  conversation.reset();
  EXPECT_EQ(conversation.ask(question()).tokens, first.tokens);
  more.raw = true;
  expect_failure(Cause::bad_request, "raw prompt", [&] { conversation.ask(more); });
}

TEST(Conversation, OutlivesItsModel) {
  std::optional<Model> model = Model::load(kModel);
  Conversation conversation(*model, "Answer in one word.");
  model.reset();
  EXPECT_FALSE(conversation.ask(question()).tokens.empty());
  Conversation other = std::move(conversation);
  expect_failure(Cause::bad_request, "conversation was moved", [&] { conversation.ask(question()); });
}

TEST(Batch, EachQuestionHasItsOutcome) {
  Question wrong = question(), gone = question(), throws = question();
  wrong.plan = "no-such-plan";
  gone.pictures = {Picture::from_file("/nowhere.png")};
  throws.max_tokens = 3;
  BatchOptions options{.at_a_time = 2};
  std::string streamed;
  options.on_text = [&](std::size_t index, std::string_view piece) {
    if (index == 3) throw std::out_of_range("mine");
    if (index == 4) streamed += piece;
    return true;
  };
  const std::vector<Outcome> outcomes = demo().ask_all({question(), wrong, gone, throws, question()}, options);
  ASSERT_EQ(outcomes.size(), 5U);
  for (const std::size_t i : {0, 4}) EXPECT_EQ(outcomes[i].value().text, "Blue.");
  EXPECT_EQ(streamed, "Blue.");
  expect_failure(Cause::bad_request, "no-such-plan", [&] { outcomes[1].value(); });
  expect_failure(Cause::bad_file, "/nowhere.png", [&] { outcomes[2].value(); });
  EXPECT_THROW(outcomes[3].value(), std::out_of_range);
  options.at_a_time = 0;
  expect_failure(Cause::bad_request, "batch size", [&] { demo().ask_all({question()}, options); });
  std::stop_source source;
  source.request_stop();
  const std::vector<Outcome> ended = demo().ask_all({question()}, {.cancel = source.get_token()});
  EXPECT_EQ(ended.at(0).value().stop, StopReason::cancelled);
}

TEST(Batch, EachQuestionMayBeCancelledAlone) {
  std::vector<std::stop_source> sources(3);
  sources[0].request_stop();
  BatchOptions options;
  for (const std::stop_source& source : sources) options.cancels.push_back(source.get_token());
  options.on_text = [&](std::size_t index, std::string_view) {
    if (index == 2) std::thread([&] { sources[1].request_stop(); }).join();
    return true;
  };
  Question longer = question();
  longer.prompt = "what shape is in the image?";
  const std::vector<Outcome> outcomes = demo().ask_all({question(), longer, question()}, options);
  EXPECT_EQ(outcomes.at(0).value().stop, StopReason::cancelled);
  EXPECT_TRUE(outcomes.at(0).value().tokens.empty());
  EXPECT_EQ(outcomes.at(1).value().stop, StopReason::cancelled);
  EXPECT_EQ(outcomes.at(2).value().text, "Blue.");
  options.cancels.pop_back();
  expect_failure(Cause::bad_request, "2 cancels for 3 questions", [&] {
    demo().ask_all({question(), longer, question()}, options);
  });
}

TEST(Model, OptionsAreTaken) {
  Question asked = question();
  asked.stop = {"."};
  EXPECT_EQ(demo().ask(asked).text, "Blue");
  asked.stop.clear();
  asked.max_tokens = 1;
  EXPECT_EQ(demo().ask(asked).tokens.size(), 1U);
  asked.sampling.top_p = -1;
  expect_failure(Cause::bad_request, "top-p", [&] { demo().ask(asked); });
}

TEST(Model, SaysWhatIsWrong) {
  expect_failure(Cause::bad_file, "/nowhere", [] { Model::load("/nowhere"); });
  LoadOptions options;
  options.weights = "int3";
  expect_failure(Cause::bad_request, "int3", [&] { Model::load(kModel, options); });
  Question asked = question();
  asked.pictures = {Picture::from_memory({1, 2, 3})};
  expect_failure(Cause::bad_file, "picture in memory", [&] { demo().ask(asked); });
  asked.pictures = {Picture::from_rgb({1, 2, 3}, 2, 1)};
  expect_failure(Cause::bad_request, "bytes", [&] { demo().ask(asked); });
  asked.pictures = {Picture::from_rgb({}, -1, std::int64_t{1} << 62)};
  expect_failure(Cause::bad_request, "pixels", [&] { demo().ask(asked); });
  asked = question();
  asked.prompt = "<image> and <image>";
  expect_failure(Cause::bad_request, "image", [&] { demo().ask(asked); });
}

TEST(Model, AMovedModelSaysSo) {
  Model first = Model::load(kModel + "/");
  const Model second = std::move(first);
  EXPECT_EQ(second.name(), "easyvqa-pmod");
  EXPECT_GT(second.weight_bytes(), 0);
  expect_failure(Cause::bad_request, "moved", [&] { first.family(); });
}

TEST(Library, NamesItsPlans) {
  const std::vector<std::string> names = plan_names();
  EXPECT_NE(std::find(names.begin(), names.end(), "p-mod"), names.end());
  EXPECT_EQ(version(), "0.1.0");
}

}  // namespace
}  // namespace lithe
