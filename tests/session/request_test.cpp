// What a front end is asked becomes the same request in every front end.
#include "session/request.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "image/decode.h"
#include "session/batch_support.h"

namespace lithe::session {
namespace {

Question about(image::Given picture) {
  Question question{.prompt = "what is the color of the rectangle?"};
  question.pictures.push_back(std::move(picture));
  return question;
}

void expect_refusal(const Question& question, Fault fault, const std::string& words) {
  RequestBuilder builder(demo());
  try {
    builder.options(question);
    builder.request(question);
    ADD_FAILURE() << "nothing was refused; expected: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), fault) << error.what();
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

TEST(RequestBuilder, APictureIsTheSameFromAFileFromMemoryAndAsPixels) {
  RequestBuilder builder(demo());
  const image::Image pixels = image::read_image(kPicture, demo().decode_options());
  for (const image::Given& given : {image::Given(kPicture), image::Given(image::read_image_bytes(kPicture)),  //
                                    image::Given(pixels)}) {
    const Request request = builder.request(about(given));
    ASSERT_EQ(request.images.size(), 1U);
    EXPECT_EQ(*request.images.front().decode(), pixels);
    EXPECT_EQ(demo().answer(request).text, "Blue.");
  }
}

TEST(RequestBuilder, MessagesAreTheSystemsAndTheUsersUnlessThePromptIsRaw) {
  RequestBuilder builder(demo());
  Question question = about(kPicture);
  question.system = "Be brief.";
  const Request request = builder.request(question);
  ASSERT_EQ(request.messages.size(), 2U);
  EXPECT_EQ(request.messages[0].role, "system");
  EXPECT_EQ(text::flatten(request.messages[0]), "Be brief.");
  EXPECT_EQ(request.messages[1].role, "user");
  EXPECT_EQ(text::flatten(request.messages[1]), "<image>\n" + question.prompt);
  EXPECT_TRUE(request.text.empty());
  question.raw = true;
  expect_refusal(question, Fault::bad_request, "no place for a system message");
  question.system.reset();
  const Request raw = builder.request(question);
  EXPECT_TRUE(raw.raw && raw.messages.empty());
  EXPECT_EQ(raw.text, question.prompt);
}

TEST(RequestBuilder, WhatIsAbsentIsTheModelsOwn) {
  RequestBuilder builder(demo());
  Question question;
  const AnswerOptions own = builder.options(question);
  const SamplingPolicy defaults = demo().default_sampling();
  EXPECT_FALSE(own.max_new_tokens);
  EXPECT_EQ(own.sampling->temperature, defaults.temperature);
  EXPECT_EQ(own.sampling->top_p, defaults.top_p);
  question.max_tokens = 7;
  question.stop = {"."};
  question.sampling = {
      .temperature = 0.5, .top_k = 3, .top_p = 0.25, .min_p = 0.125, .repetition_penalty = 2, .seed = 9};
  const AnswerOptions wanted = builder.options(question);
  EXPECT_EQ(wanted.max_new_tokens, 7);
  EXPECT_EQ(wanted.stop, question.stop);
  EXPECT_EQ(wanted.sampling->temperature, 0.5);
  EXPECT_EQ(wanted.sampling->top_k, 3);
  EXPECT_EQ(wanted.sampling->top_p, 0.25);
  EXPECT_EQ(wanted.sampling->min_p, 0.125);
  EXPECT_EQ(wanted.sampling->repetition_penalty, 2);
  EXPECT_EQ(wanted.sampling->seed, 9U);
  EXPECT_FALSE(builder.request(question).plan);
}

TEST(RequestBuilder, APlanIsANameAFileOrJsonText) {
  RequestBuilder builder(demo());
  Question question{.prompt = "hi"};
  question.plan = "fastv";
  EXPECT_EQ(builder.request(question).plan->name, "fastv");
  EXPECT_EQ(&builder.plan("fastv"), &builder.plan("fastv"));
  question.plan = R"( {"name": "mine", "layers": [{"layer": 1, "attention": "off"}]})";
  EXPECT_EQ(builder.request(question).plan->name, "mine");
  question.plan = "no-such-plan";
  expect_refusal(question, Fault::bad_request, "no plan or file is called 'no-such-plan'");
  question.plan = "[3";
  expect_refusal(question, Fault::bad_file, "the plan");
}

TEST(RequestBuilder, RefusesWhatIsImpossible) {
  expect_refusal(about("/nowhere.png"), Fault::bad_file, "/nowhere.png");
  expect_refusal(about(std::vector<std::byte>(3)), Fault::bad_file, "the picture in memory");
  image::Image pixels(2, 1);
  pixels.rgb.pop_back();
  expect_refusal(about(pixels), Fault::bad_request, "has 5 bytes; RGB needs 6");
  pixels.height = int64_t{1} << 62;
  expect_refusal(about(pixels), Fault::bad_request, "give one of at most");
  pixels.height = 0;
  expect_refusal(about(pixels), Fault::bad_request, "both must be at least 1");
  Question question{.prompt = "hi"};
  question.pictures.assign(32, kPicture);  // of 64 rows each
  expect_refusal(question, Fault::bad_request, "use fewer pictures");
  question.pictures.clear();
  question.sampling.top_p = -1;
  expect_refusal(question, Fault::bad_request, "top-p");
}

}  // namespace
}  // namespace lithe::session
