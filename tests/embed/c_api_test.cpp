#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "lithe/lithe.h"

namespace {

const char* const kModel = LITHE_SOURCE_DIR "/models/easyvqa-pmod";
const char* const kPicture = LITHE_SOURCE_DIR "/models/images/901.png";

template <class T>
using Handle = std::unique_ptr<T, void (*)(T*)>;

/// A model, a picture and a question about it.
class CApi : public testing::Test {
 protected:
  void SetUp() override {
    lithe_model* model = nullptr;
    ASSERT_EQ(lithe_model_load(kModel, nullptr, &model), LITHE_OK) << lithe_last_error();
    model_.reset(model);
    lithe_picture* picture = nullptr;
    ASSERT_EQ(lithe_picture_from_file(kPicture, &picture), LITHE_OK);
    picture_.reset(picture);
    lithe_question* question = nullptr;
    ASSERT_EQ(lithe_question_new("what is the color of the rectangle?", &question), LITHE_OK);
    question_.reset(question);
    ASSERT_EQ(lithe_question_add_picture(question, picture), LITHE_OK);
  }

  Handle<lithe_model> model_{nullptr, lithe_model_free};
  Handle<lithe_picture> picture_{nullptr, lithe_picture_free};
  Handle<lithe_question> question_{nullptr, lithe_question_free};
};

int append(const char* piece, size_t size, void* user) {
  static_cast<std::string*>(user)->append(piece, size);
  return 1;
}

TEST_F(CApi, AnswersAndStreams) {
  std::string streamed;
  lithe_answer* made = nullptr;
  ASSERT_EQ(lithe_ask(model_.get(), question_.get(), append, &streamed, &made), LITHE_OK) << lithe_last_error();
  const Handle<lithe_answer> answer(made, lithe_answer_free);
  EXPECT_EQ(streamed, "Blue.");
  EXPECT_STREQ(lithe_answer_text(made), "Blue.");
  EXPECT_STREQ(lithe_answer_stop(made), "eos");
  size_t count = 0;
  const int64_t* const tokens = lithe_answer_tokens(made, &count);
  ASSERT_EQ(count, 3U);
  EXPECT_EQ(tokens[0], 446);
  EXPECT_EQ(lithe_answer_vision_rows(made), 64);
  EXPECT_GT(lithe_answer_prompt_rows(made), 64);
  EXPECT_GT(lithe_answer_cache_bytes(made), 0);
  EXPECT_GT(lithe_answer_image_ms(made), 0);
  EXPECT_GT(lithe_answer_prefill_ms(made), 0);
  EXPECT_GT(lithe_answer_decode_ms(made), 0);
}

TEST_F(CApi, ACallbackEndsTheAnswer) {
  lithe_answer* made = nullptr;
  const auto stop = [](const char*, size_t, void*) { return 0; };
  ASSERT_EQ(lithe_ask(model_.get(), question_.get(), stop, nullptr, &made), LITHE_OK);
  const Handle<lithe_answer> answer(made, lithe_answer_free);
  EXPECT_STREQ(lithe_answer_stop(made), "cancelled");
}

TEST_F(CApi, SettersReachTheQuestion) {
  ASSERT_EQ(lithe_question_set_max_tokens(question_.get(), 1), LITHE_OK);
  lithe_sampling sampling = LITHE_SAMPLING_INIT;
  sampling.repetition_penalty = NAN;
  ASSERT_EQ(lithe_question_set_sampling(question_.get(), &sampling), LITHE_OK);
  lithe_answer* made = nullptr;
  ASSERT_EQ(lithe_ask(model_.get(), question_.get(), nullptr, nullptr, &made), LITHE_OK) << lithe_last_error();
  const Handle<lithe_answer> answer(made, lithe_answer_free);
  EXPECT_STREQ(lithe_answer_stop(made), "length");
  ASSERT_EQ(lithe_question_set_plan(question_.get(), "no-such-plan"), LITHE_OK);
  EXPECT_EQ(lithe_ask(model_.get(), question_.get(), nullptr, nullptr, nullptr), LITHE_BAD_REQUEST);
  EXPECT_NE(std::string(lithe_last_error()).find("no-such-plan"), std::string::npos);
}

// Without the penalty the demo model answers "Blue."
TEST_F(CApi, OneValueOfSamplingMayBeSet) {
  const auto answer = [&](const lithe_sampling& sampling) {
    EXPECT_EQ(lithe_question_set_sampling(question_.get(), &sampling), LITHE_OK) << lithe_last_error();
    lithe_answer* made = nullptr;
    EXPECT_EQ(lithe_ask(model_.get(), question_.get(), nullptr, nullptr, &made), LITHE_OK) << lithe_last_error();
    const Handle<lithe_answer> answer(made, lithe_answer_free);
    return std::string(lithe_answer_text(made));
  };
  lithe_sampling sampling = LITHE_SAMPLING_INIT;
  EXPECT_EQ(answer(sampling), "Blue.");
  sampling.repetition_penalty = 50;
  EXPECT_NE(answer(sampling), "Blue.");
  sampling.top_p = 7;
  ASSERT_EQ(lithe_question_set_sampling(question_.get(), &sampling), LITHE_OK);
  EXPECT_EQ(lithe_ask(model_.get(), question_.get(), nullptr, nullptr, nullptr), LITHE_BAD_REQUEST);
}

TEST_F(CApi, TellsOfTheModel) {
  EXPECT_STREQ(lithe_model_name(model_.get()), "easyvqa-pmod");
  EXPECT_STREQ(lithe_model_family(model_.get()), "llava_original");
  EXPECT_STREQ(lithe_model_plan(model_.get()), "p-mod");
  EXPECT_GT(lithe_model_weight_bytes(model_.get()), 1000);
}

// A program that was compiled when the struct was shorter, and one whose header is newer than the library.
TEST_F(CApi, OptionsMayBeOlderButNotNewer) {
  lithe_load_options options = LITHE_LOAD_OPTIONS_INIT;
  int64_t bytes = 0;
  options.user = &bytes;
  options.progress = [](int64_t done, int64_t, void* user) { *static_cast<int64_t*>(user) = done; };
  const auto load = [&](size_t size) {
    options.size = size;
    bytes = 0;
    lithe_model* made = nullptr;
    const lithe_status status = lithe_model_load(kModel, &options, &made);
    lithe_model_free(made);
    return status;
  };
  EXPECT_EQ(load(sizeof options), LITHE_OK) << lithe_last_error();
  EXPECT_GT(bytes, 0);
  EXPECT_EQ(load(offsetof(lithe_load_options, progress)), LITHE_OK) << lithe_last_error();
  EXPECT_EQ(bytes, 0);
  EXPECT_EQ(load(sizeof options + 8), LITHE_BAD_REQUEST);
  EXPECT_EQ(load(0), LITHE_BAD_REQUEST);
  EXPECT_NE(std::string(lithe_last_error()).find("INIT"), std::string::npos) << lithe_last_error();
}

TEST_F(CApi, GivesFeatures) {
  lithe_features* made = nullptr;
  ASSERT_EQ(lithe_features_of(model_.get(), picture_.get(), &made), LITHE_OK) << lithe_last_error();
  const Handle<lithe_features> features(made, lithe_features_free);
  const lithe_features_view view = lithe_features_read(made);
  EXPECT_EQ(view.rows, 64);
  EXPECT_EQ(view.tokens, 64);
  EXPECT_NE(view.tower[0], view.tower[view.width]);
  EXPECT_NE(view.projected[0], view.projected[view.hidden]);
}

TEST_F(CApi, FailuresAreStatusAndSentence) {
  lithe_model* none = nullptr;
  EXPECT_EQ(lithe_model_load("/nowhere", nullptr, &none), LITHE_BAD_FILE);
  EXPECT_EQ(none, nullptr);
  EXPECT_NE(std::string(lithe_last_error()).find("/nowhere"), std::string::npos);
  lithe_load_options options = LITHE_LOAD_OPTIONS_INIT;
  options.threads = -3;
  EXPECT_EQ(lithe_model_load(kModel, &options, &none), LITHE_BAD_REQUEST);
  EXPECT_EQ(std::string(lithe_last_error()).find("--"), std::string::npos) << lithe_last_error();
  options = LITHE_LOAD_OPTIONS_INIT;
  options.lora = "/nowhere";
  EXPECT_EQ(lithe_model_load(kModel, &options, &none), LITHE_BAD_FILE);
  EXPECT_EQ(lithe_model_load(nullptr, nullptr, &none), LITHE_BAD_REQUEST);
  EXPECT_EQ(lithe_model_load(kModel, nullptr, nullptr), LITHE_BAD_REQUEST);
  EXPECT_EQ(lithe_ask(nullptr, question_.get(), nullptr, nullptr, nullptr), LITHE_BAD_REQUEST);
  EXPECT_EQ(lithe_ask(model_.get(), nullptr, nullptr, nullptr, nullptr), LITHE_BAD_REQUEST);
  lithe_picture* picture = nullptr;
  const uint8_t pixel[3] = {1, 2, 3};
  EXPECT_EQ(lithe_picture_from_rgb(pixel, INT64_MAX, 2, &picture), LITHE_BAD_REQUEST);
  EXPECT_EQ(lithe_picture_from_rgb(nullptr, 1, 1, &picture), LITHE_BAD_REQUEST);
  EXPECT_EQ(lithe_picture_from_memory(nullptr, 7, &picture), LITHE_BAD_REQUEST);
  EXPECT_EQ(picture, nullptr);
}

TEST(CApiHandles, NothingIsFreedSafely) {
  lithe_model_free(nullptr);
  lithe_answer_free(nullptr);
  EXPECT_STREQ(lithe_answer_text(nullptr), "");
  EXPECT_EQ(lithe_features_read(nullptr).rows, 0);
  EXPECT_STREQ(lithe_model_plan(nullptr), "");
  EXPECT_EQ(lithe_answer_prompt_rows(nullptr), 0);
  EXPECT_STREQ(lithe_version(), "0.1.0");
}

TEST(CApiPlans, AreListed) {
  std::vector<std::string> names;
  while (const char* const name = lithe_plan_name(names.size())) names.emplace_back(name);
  EXPECT_NE(std::find(names.begin(), names.end(), "p-mod"), names.end());
  EXPECT_EQ(lithe_plan_name(names.size() + 7), nullptr);
}

}  // namespace
