#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
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
  EXPECT_EQ(lithe_answer_stop_reason(made), LITHE_STOP_EOS);
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
  size_t layers = 0, cached = 0;
  const int64_t* const rows = lithe_answer_layer_rows(made, &layers);
  ASSERT_EQ(layers, 12U);
  EXPECT_LT(rows[layers - 1], rows[0]);
  EXPECT_EQ(lithe_answer_layer_cache_rows(made, &cached)[layers - 1], rows[layers - 1]);
  EXPECT_LT(lithe_answer_prefill_flops(made), lithe_answer_dense_prefill_flops(made));
}

TEST_F(CApi, ACancelHandleEndsTheAnswer) {
  lithe_cancel* made = nullptr;
  ASSERT_EQ(lithe_cancel_new(&made), LITHE_OK);
  const Handle<lithe_cancel> cancel(made, lithe_cancel_free);
  lithe_listener listener = LITHE_LISTENER_INIT;
  listener.cancel = made;
  listener.user = made;
  listener.on_progress = [](const lithe_progress* progress, void* user) {
    if (progress->stage == LITHE_STAGE_PREFILL && progress->done == 2)
      std::thread([user] { lithe_cancel_request(static_cast<lithe_cancel*>(user)); }).join();
  };
  lithe_answer* ended = nullptr;
  ASSERT_EQ(lithe_ask_heard(model_.get(), question_.get(), &listener, &ended), LITHE_OK) << lithe_last_error();
  const Handle<lithe_answer> answer(ended, lithe_answer_free);
  EXPECT_EQ(lithe_answer_stop_reason(ended), LITHE_STOP_CANCELLED);
  EXPECT_STREQ(lithe_answer_text(ended), "");
}

TEST_F(CApi, AConversationGoesOn) {
  lithe_conversation* made = nullptr;
  ASSERT_EQ(lithe_conversation_new(model_.get(), nullptr, &made), LITHE_OK) << lithe_last_error();
  const Handle<lithe_conversation> conversation(made, lithe_conversation_free);
  lithe_question* next = nullptr;
  ASSERT_EQ(lithe_question_new("is there a blue shape?", &next), LITHE_OK);
  const Handle<lithe_question> more(next, lithe_question_free);
  const auto reused = [&](const lithe_question* question) {
    lithe_answer* answer = nullptr;
    EXPECT_EQ(lithe_conversation_ask(made, question, nullptr, &answer), LITHE_OK) << lithe_last_error();
    const int64_t rows = lithe_answer_reused_rows(answer);
    lithe_answer_free(answer);
    return rows;
  };
  EXPECT_EQ(reused(question_.get()), 0);
  EXPECT_GT(reused(next), 64);
  ASSERT_EQ(lithe_conversation_use_plan(made, R"({"method": "eas", "layers": [1]})"), LITHE_OK) << lithe_last_error();
  EXPECT_EQ(reused(next), 0);
  EXPECT_EQ(lithe_conversation_use_plan(made, "no-such-plan"), LITHE_BAD_REQUEST);
  ASSERT_EQ(lithe_conversation_use_plan(made, nullptr), LITHE_OK);
  ASSERT_EQ(lithe_conversation_reset(made), LITHE_OK);
  EXPECT_EQ(reused(question_.get()), 0);
}

TEST_F(CApi, ABatchHasAnOutcomePerQuestion) {
  lithe_question* made = nullptr;
  ASSERT_EQ(lithe_question_new("two <image> marks <image>", &made), LITHE_OK);
  const Handle<lithe_question> wrong(made, lithe_question_free);
  const lithe_question* const questions[] = {question_.get(), made, question_.get()};
  lithe_outcomes* ended = nullptr;
  ASSERT_EQ(lithe_ask_all(model_.get(), questions, 3, nullptr, &ended), LITHE_OK) << lithe_last_error();
  const Handle<lithe_outcomes> outcomes(ended, lithe_outcomes_free);
  for (const size_t i : {0, 2}) {
    EXPECT_EQ(lithe_outcome_status(ended, i), LITHE_OK);
    EXPECT_STREQ(lithe_outcome_error(ended, i), "");
    EXPECT_STREQ(lithe_answer_text(lithe_outcome_answer(ended, i)), "Blue.");
  }
  EXPECT_EQ(lithe_outcome_status(ended, 1), LITHE_BAD_REQUEST);
  EXPECT_NE(std::string(lithe_outcome_error(ended, 1)).find("2 image marks"), std::string::npos);
  EXPECT_EQ(lithe_outcome_answer(ended, 1), nullptr);
  EXPECT_EQ(lithe_outcome_status(ended, 3), LITHE_BAD_REQUEST);
  const lithe_question* const hole[] = {nullptr};
  EXPECT_EQ(lithe_ask_all(model_.get(), hole, 1, nullptr, &ended), LITHE_BAD_REQUEST);
}

TEST_F(CApi, EachQuestionOfABatchMayBeCancelledAlone) {
  lithe_cancel* made = nullptr;
  ASSERT_EQ(lithe_cancel_new(&made), LITHE_OK);
  const Handle<lithe_cancel> cancel(made, lithe_cancel_free);
  lithe_cancel_request(made);
  const lithe_question* const questions[] = {question_.get(), question_.get()};
  lithe_cancel* const cancels[] = {nullptr, made};
  lithe_batch_options options = LITHE_BATCH_OPTIONS_INIT;
  options.cancels = cancels;
  lithe_outcomes* ended = nullptr;
  ASSERT_EQ(lithe_ask_all(model_.get(), questions, 2, &options, &ended), LITHE_OK) << lithe_last_error();
  const Handle<lithe_outcomes> outcomes(ended, lithe_outcomes_free);
  EXPECT_STREQ(lithe_answer_text(lithe_outcome_answer(ended, 0)), "Blue.");
  EXPECT_EQ(lithe_answer_stop_reason(lithe_outcome_answer(ended, 1)), LITHE_STOP_CANCELLED);
  // A program that was built before the member was there.
  options.size = offsetof(lithe_batch_options, cancels);
  ASSERT_EQ(lithe_ask_all(model_.get(), questions, 2, &options, &ended), LITHE_OK) << lithe_last_error();
  const Handle<lithe_outcomes> older(ended, lithe_outcomes_free);
  EXPECT_STREQ(lithe_answer_text(lithe_outcome_answer(ended, 1)), "Blue.");
}

// A member that the size cuts is not looked at: half a pointer points anywhere.
TEST_F(CApi, ASizeInsideAMemberLeavesTheMemberOut) {
  lithe_load_options options = LITHE_LOAD_OPTIONS_INIT;
  options.lora = "/nowhere";
  for (size_t cut = 1; cut < sizeof options.lora; ++cut) {
    options.size = offsetof(lithe_load_options, lora) + cut;
    lithe_model* made = nullptr;
    EXPECT_EQ(lithe_model_load(kModel, &options, &made), LITHE_OK) << cut << ": " << lithe_last_error();
    lithe_model_free(made);
  }
  lithe_listener listener = LITHE_LISTENER_INIT;
  listener.on_text = [](const char*, size_t, void*) { return 0; };
  listener.size = offsetof(lithe_listener, on_text) + 3;
  lithe_answer* made = nullptr;
  ASSERT_EQ(lithe_ask_heard(model_.get(), question_.get(), &listener, &made), LITHE_OK) << lithe_last_error();
  EXPECT_STREQ(lithe_answer_text(made), "Blue.");
  lithe_answer_free(made);
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
  EXPECT_EQ(lithe_model_note(model_.get(), 1000), nullptr);
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
