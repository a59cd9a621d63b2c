#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"
#include "models/model.h"
#include "plan/parse.h"
#include "session/batch.h"
#include "session/batch_memory.h"
#include "session/prompt_rows.h"
#include "session/session.h"

namespace lithe::session {
namespace {

/// A picture that becomes seven tiles.
image::Image picture() {
  image::Image made(71, 40);
  for (size_t i = 0; i < made.rgb.size(); ++i) made.rgb[i] = static_cast<uint8_t>(i * 7 + i / 251);
  return made;
}

int64_t sum(const std::vector<int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

/// What every plan that needs no trained weights does to a request with a picture. FastV and PyramidDrop drop rows for
/// good, ShortV leaves vision rows as they are, the compression only caches fewer.
TEST(OneVision, PlansWithoutTrainedWeightsRun) {
  const Session session = Session::open(LITHE_TEST_DATA "/golden/llava_onevision/checkpoint");
  Request request{.messages = {text::user_message("What is shown?", 1)}, .images = {picture()}};
  const AnswerOptions options{.max_new_tokens = 6, .ignore_eos = true};
  const Answer dense = session.answer(request, options);
  EXPECT_EQ(dense.tokens.size(), 6u);
  EXPECT_EQ(dense.timings.vision_rows, 94);
  for (const std::string name : {"fastv", "pyramiddrop", "shortv", "kv-compression", "uniform", "random"}) {
    SCOPED_TRACE(name);
    request.plan = plan::load_plan(name, session.facts());
    const Answer answer = session.answer(request, options);
    EXPECT_EQ(answer.tokens.size(), 6u);
    EXPECT_EQ(answer.timings.prompt_rows, dense.timings.prompt_rows);
    // Of three layers, ShortV changes the last: nothing reads its output for vision rows.
    if (name != "shortv") {
      EXPECT_NE(answer.token_logits, dense.token_logits);
    }
    if (name == "kv-compression") {
      EXPECT_EQ(answer.rows_run, dense.rows_run);
      EXPECT_NEAR(answer.token_logits.front(), dense.token_logits.front(), 1e-4);
    } else {
      EXPECT_LT(sum(answer.rows_run), sum(dense.rows_run));
    }
    if (name == "shortv")
      EXPECT_EQ(answer.cache.rows_after_prefill, dense.cache.rows_after_prefill);
    else
      EXPECT_LT(sum(answer.cache.rows_after_prefill), sum(dense.cache.rows_after_prefill));
  }
}

// The model takes pictures of up to 37 tiles. What is admitted follows the request's own pictures.
TEST(OneVision, ABatchNeedsMemoryForThePicturesThatItHas) {
  const Session session = Session::open(LITHE_TEST_DATA "/golden/llava_onevision/checkpoint");
  const models::Model& model = session.model();
  const AnswerOptions options{.max_new_tokens = 4, .ignore_eos = true};
  const Request text{.messages = {text::user_message("What is shown?", 0)}};
  const Request sees{.messages = {text::user_message("What is shown?", 1)}, .images = {picture()}};
  int64_t before = 0;
  for (const Request& request : {text, sees}) {
    PictureNeeds needs;
    needs.add(model, request);
    EXPECT_EQ(needs.tiles, request.images.empty() ? 0 : 7);
    const PromptRows prompt = build_prompt(model, request);
    EXPECT_LE(prompt.vision_rows(), needs.rows);
    const int64_t rows = prompt.rows() - prompt.vision_rows() + needs.rows;
    const int64_t alone = worst_case(model, {.caches = dense_cache_bytes(model, prompt.rows(), 4),
                                             .joining_rows = prompt.rows(),
                                             .sequences = 1,
                                             .longest = prompt.rows() + 4});
    const int64_t bytes = std::max(alone, tower_bytes(model, {}, rows, needs.most_tiles) + needs.preparing_bytes);
    BatchRun batch(session, {.bytes = bytes});
    batch.submit(0, request, options);
    std::vector<Outcome> outcomes;
    while (!batch.idle()) {
      for (Outcome& outcome : batch.step()) outcomes.push_back(std::move(outcome));
    }
    ASSERT_EQ(outcomes.size(), 1U);
    ASSERT_FALSE(outcomes[0].error) << outcomes[0].error->what();
    EXPECT_EQ(outcomes[0].answer.tokens, session.answer(request, options).tokens);
    EXPECT_GT(bytes, before);
    before = bytes;
  }
}

TEST(OneVision, PlansWithRoutersAreRefused) {
  const Session session = Session::open(LITHE_TEST_DATA "/golden/llava_onevision/checkpoint");
  try {
    plan::load_plan("p-mod", session.facts());
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("have no router there"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lithe::session
