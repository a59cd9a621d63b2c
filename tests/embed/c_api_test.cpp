#include <gtest/gtest.h>

#include <memory>
#include <string>

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
  ASSERT_EQ(lithe_question_set_sampling(question_.get(), 0, 0, 1, 0, 0), LITHE_OK);
  lithe_answer* made = nullptr;
  ASSERT_EQ(lithe_ask(model_.get(), question_.get(), nullptr, nullptr, &made), LITHE_OK) << lithe_last_error();
  const Handle<lithe_answer> answer(made, lithe_answer_free);
  EXPECT_STREQ(lithe_answer_stop(made), "length");
  ASSERT_EQ(lithe_question_set_plan(question_.get(), "no-such-plan"), LITHE_OK);
  EXPECT_EQ(lithe_ask(model_.get(), question_.get(), nullptr, nullptr, nullptr), LITHE_BAD_REQUEST);
  EXPECT_NE(std::string(lithe_last_error()).find("no-such-plan"), std::string::npos);
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
  lithe_load_options options = {};
  options.threads = -3;
  EXPECT_EQ(lithe_model_load(kModel, &options, &none), LITHE_BAD_REQUEST);
  options = {};
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
  EXPECT_STREQ(lithe_version(), "0.1.0");
}

}  // namespace
