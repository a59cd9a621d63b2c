#include <ATen/ops/full_like.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "checkpoints/read/catalogue.h"
#include "image/decode.h"
#include "models/model.h"
#include "session/answering.h"
#include "session/batch_support.h"
#include "session/chat.h"
#include "session/trace.h"

/// How answers end other than by themselves: cancelled, by a callback that throws, by numbers that are not finite.
namespace lithe::session {
namespace {

/// Cancels an answer when it has come this far, and remembers the last that it said.
struct Canceller {
  Progress::Stage stage;
  int64_t done;
  std::stop_source source = {};
  Progress last = {};

  AnswerOptions options(int64_t tokens) {
    return {.max_new_tokens = tokens,
            .ignore_eos = true,
            .cancel = source.get_token(),
            .on_progress = [this](const Progress& progress) {
              last = progress;
              if (progress.stage == stage && progress.done == done) source.request_stop();
            }};
  }
};

TEST(Ending, ACancelledAnswerStopsAfterTheLayerAtHand) {
  for (const auto stage : {Progress::Stage::pictures, Progress::Stage::prefill}) {
    Canceller canceller{stage, 2};
    const Answer answer = demo().answer(ask("is there a circle?"), canceller.options(4));
    EXPECT_EQ(answer.stop, StopReason::cancelled);
    EXPECT_TRUE(answer.tokens.empty());
    EXPECT_EQ(canceller.last.stage, stage);
    EXPECT_EQ(canceller.last.done, 2);
    EXPECT_GT(canceller.last.total, 2);
  }
}

// on_text alone would not do: there are tokens without text, such as parts of a character.
TEST(Ending, ACancelledAnswerStopsAtTheNextToken) {
  Canceller canceller{Progress::Stage::decode, 3};
  const Answer answer = demo().answer(ask("is there a circle?"), canceller.options(200));
  EXPECT_EQ(answer.stop, StopReason::cancelled);
  EXPECT_EQ(answer.tokens.size(), 3U);
}

TEST(Ending, ProgressCountsLayersPicturesAndTokens) {
  std::vector<Progress> all;
  const Answer answer =
      demo().answer(ask("is there a circle?", 2),
                    {.max_new_tokens = 2, .ignore_eos = true, .on_progress = [&](const Progress& progress) {
                       all.push_back(progress);
                     }});
  const auto tower = static_cast<int64_t>(demo().model().vision->tower.blocks.size());
  const int64_t layers = demo().facts().layers;
  ASSERT_EQ(static_cast<int64_t>(all.size()), 2 * tower + layers + 2);
  EXPECT_EQ(all[static_cast<size_t>(tower)].item, 1);
  EXPECT_EQ(all[static_cast<size_t>(tower)].items, 2);
  EXPECT_EQ(all[static_cast<size_t>(2 * tower)].stage, Progress::Stage::prefill);
  EXPECT_EQ(all[static_cast<size_t>(2 * tower)].rows, answer.timings.prompt_rows);
  EXPECT_EQ(all[static_cast<size_t>(2 * tower + layers - 1)].done, layers);
  EXPECT_EQ(all.back().done, 2);
  EXPECT_EQ(all.back().total, 2);
}

TEST(Ending, ACancelledRequestLeavesTheOthersOfABatchAlone) {
  const Request request = ask("is there a circle?");
  const AnswerOptions plain{.max_new_tokens = 6, .ignore_eos = true};
  const Answer alone = demo().answer(request, plain);
  for (const auto stage : {Progress::Stage::pictures, Progress::Stage::prefill, Progress::Stage::decode}) {
    Canceller canceller{stage, 1};
    BatchRun batch(demo());
    batch.submit(0, request, plain);
    batch.submit(1, request, canceller.options(6));
    batch.submit(2, request, plain);
    const auto outcomes = finish(batch);
    ASSERT_EQ(outcomes.size(), 3U);
    EXPECT_EQ(outcomes.at(1).answer.stop, StopReason::cancelled);
    EXPECT_FALSE(outcomes.at(1).error);
    for (const int64_t ticket : {0, 2}) EXPECT_EQ(outcomes.at(ticket).answer.tokens, alone.tokens);
  }
}

TEST(Ending, ATicketIsCancelledWhileItWaitsAndWhileItRuns) {
  BatchRun batch(demo(), {.sequences = 2});
  for (int64_t ticket = 0; ticket < 4; ++ticket)
    batch.submit(ticket, ask("is there a circle?"), {.max_new_tokens = 5, .ignore_eos = true});
  EXPECT_TRUE(batch.step().empty());
  for (const int64_t ticket : {0, 2, 77}) batch.cancel(ticket);
  const auto outcomes = finish(batch);
  ASSERT_EQ(outcomes.size(), 4U);
  EXPECT_EQ(outcomes.at(0).answer.stop, StopReason::cancelled);
  EXPECT_EQ(outcomes.at(0).answer.tokens.size(), 1U);
  EXPECT_EQ(outcomes.at(2).answer.stop, StopReason::cancelled);
  EXPECT_TRUE(outcomes.at(2).answer.tokens.empty());
  for (const int64_t ticket : {1, 3}) EXPECT_EQ(outcomes.at(ticket).answer.tokens.size(), 5U);
}

struct Mine {};  // not a std::exception

TEST(Ending, WhatACallbackThrowsEndsItsOwnAnswerOnly) {
  const Request request = ask("is there a circle?");
  const AnswerOptions plain{.max_new_tokens = 6, .ignore_eos = true};
  const Answer alone = demo().answer(request, plain);
  AnswerOptions text = plain, pictures = plain, prefill = plain;
  text.on_text = [](const std::string&) -> bool { throw std::out_of_range("mine"); };
  const auto at = [](Progress::Stage stage) {
    return [stage](const Progress& progress) {
      if (progress.stage == stage) throw Mine();
    };
  };
  pictures.on_progress = at(Progress::Stage::pictures);
  prefill.on_progress = at(Progress::Stage::prefill);
  EXPECT_THROW(demo().answer(request, text), std::out_of_range);
  EXPECT_THROW(demo().answer(request, pictures), Mine);
  EXPECT_THROW(demo().answer(request, prefill), Mine);
  EXPECT_THROW(Chat(demo()).ask("is there a circle?", request.images, pictures), Mine);
  BatchRun batch(demo());
  batch.submit(0, request, plain);
  batch.submit(1, request, text);
  batch.submit(2, request, pictures);
  batch.submit(3, request, prefill);
  batch.submit(4, request, plain);
  const auto outcomes = finish(batch);
  ASSERT_EQ(outcomes.size(), 5U);
  for (const int64_t ticket : {0, 4}) {
    EXPECT_FALSE(outcomes.at(ticket).error);
    EXPECT_EQ(outcomes.at(ticket).answer.tokens, alone.tokens);
  }
  for (const int64_t ticket : {1, 2, 3}) ASSERT_TRUE(outcomes.at(ticket).error) << ticket;
  EXPECT_STREQ(outcomes.at(1).error->what(), "mine");
  EXPECT_THROW(std::rethrow_exception(outcomes.at(1).thrown), std::out_of_range);
  EXPECT_THROW(std::rethrow_exception(outcomes.at(2).thrown), Mine);
  EXPECT_THROW(std::rethrow_exception(outcomes.at(3).thrown), Mine);
}

TEST(Ending, ACancelledTurnLeavesTheChatAsItWas) {
  Chat chat(demo());
  chat.ask("is there a circle?", ask("").images);
  const size_t messages = chat.messages().size();
  for (const auto stage : {Progress::Stage::pictures, Progress::Stage::prefill}) {
    Canceller canceller{stage, 1};
    const Answer answer = chat.ask("what shape is in the image?", ask("").images, canceller.options(4));
    EXPECT_EQ(answer.stop, StopReason::cancelled);
    EXPECT_EQ(chat.messages().size(), messages);
  }
  Request fresh{.messages = chat.messages(), .images = ask("").images};
  fresh.messages.push_back(text::user_message("is there a blue shape?", 0));
  EXPECT_EQ(chat.ask("is there a blue shape?", {}).tokens, demo().answer(fresh).tokens);
}

// The layer states of an answer are good for more rows after the answer, its request and its plan are gone.
TEST(Ending, AGenerationOutlivesItsAnswer) {
  const c10::InferenceMode no_gradients;  // as in the passes before
  std::optional<Generation> generation;
  int64_t last = 0;
  {
    Request request = ask("is there a circle?");
    request.plan = demo().plan();
    Answering answering(demo().model(), request, {.max_new_tokens = 3, .ignore_eos = true});
    run_alone(demo().model(), answering);
    last = answering.take().tokens.back();
    generation = answering.take_generation();
  }
  const int64_t rows = generation->next_position();
  EXPECT_EQ(generation->step(last).size(0), 1);
  EXPECT_EQ(generation->next_position(), rows + 1);
}

TEST(Ending, AnAnswerSaysWhatEachLayerRanAndWhatThatCosts) {
  Request request = ask("is there a circle?");
  const Answer routed = demo().answer(request, {.max_new_tokens = 1});
  request.plan = plan::Plan{};
  const Answer dense = demo().answer(request, {.max_new_tokens = 1});
  const auto layers = static_cast<size_t>(demo().facts().layers);
  EXPECT_EQ(dense.rows_run, std::vector<int64_t>(layers, dense.timings.prompt_rows));
  ASSERT_EQ(routed.rows_run.size(), layers);
  EXPECT_LT(routed.rows_run.back(), routed.timings.prompt_rows);
  EXPECT_EQ(dense.counted.share(), 1);
  EXPECT_EQ(dense.counted.flops, routed.counted.dense_flops);
  EXPECT_LT(routed.counted.share(), 1);
  EXPECT_GT(routed.counted.share(), 0);
}

// NaN in the embedding of one token: only requests that use the token are refused.
TEST(Ending, NumbersThatAreNotFiniteAreAnErrorOfTheirRequest) {
  auto model = models::open_model(kModels / "easyvqa-dense");
  const auto circle = model->prompting.tokenizer->encode_with_images("circle", model->prompting.dialect).back();
  const at::Tensor embeddings = model->decoder.embeddings.widened(at::kFloat).clone();
  embeddings[circle].fill_(std::numeric_limits<float>::quiet_NaN());
  model->decoder.embeddings = embeddings;
  const Session session(std::move(model));
  const AnswerOptions options{.max_new_tokens = 3};
  const Request good = ask("is there a blue shape?"), bad = ask("is there a circle?");
  BatchRun batch(session);
  batch.submit(0, good, options);
  batch.submit(1, bad, options);
  batch.submit(2, good, options);
  const auto outcomes = finish(batch);
  ASSERT_EQ(outcomes.size(), 3U);
  for (const int64_t ticket : {0, 2})
    EXPECT_EQ(outcomes.at(ticket).answer.tokens, session.answer(good, options).tokens) << ticket;
  ASSERT_TRUE(outcomes.at(1).error);
  const std::string sentence = outcomes.at(1).error->what();
  EXPECT_NE(
      sentence.find("the logits of new token 1 are not finite numbers, because the weight model.embed_tokens.weight"),
      std::string::npos)
      << sentence;
  EXPECT_EQ(outcomes.at(1).error->fault(), Fault::bad_file);
  EXPECT_THROW(session.answer(bad, options), Error);
  Chat chat(session);
  EXPECT_THROW(chat.ask("is there a circle?", {}, options), Error);
  EXPECT_TRUE(chat.messages().empty());
  const auto out = std::filesystem::temp_directory_path() / concat("lithe_nan_trace_", ::getpid());
  EXPECT_THROW(write_trace(session, bad, {}, out), Error);
  EXPECT_FALSE(std::filesystem::exists(out));
}

// A softmax over few keys loses NaN: the request would get an answer.
TEST(Ending, NaNInAQueryOrKeyReachesTheLogitsOfShortPrompts) {
  for (const bool of_key : {false, true}) {
    auto model = models::open_model(LITHE_TEST_DATA "/golden/hf_llava15/checkpoint");
    auto& attention = std::get<nn::Attention>(model->decoder.blocks.front().sites.front().branch);
    nn::Weight& weight = of_key ? attention.key.weight : attention.query.weight;
    const at::Tensor numbers = weight.widened(at::kFloat).clone();
    numbers.view(-1)[0].fill_(std::numeric_limits<float>::quiet_NaN());
    weight = numbers;
    const Session session(std::move(model));
    for (const char* prompt : {"x ", "hi", "USER: hi there, how are you today my friend? ASSISTANT:"}) {
      Request request;
      request.raw = true;
      request.text = prompt;
      EXPECT_THROW(session.answer(request, {.max_new_tokens = 2}), Error) << prompt << of_key;
    }
  }
}

TEST(Ending, AWeightThatIsInfiniteIsNamed) {
  auto model = models::open_model(kModels / "easyvqa-dense");
  nn::Weight& head = model->decoder.head.weight;
  head = at::full_like(head.widened(at::kHalf), std::numeric_limits<float>::infinity());
  const Session session(std::move(model));
  try {
    session.answer(ask("is there a circle?"), {.max_new_tokens = 3});
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::bad_file);
    EXPECT_NE(std::string(error.what()).find("the weight lm_head.weight holds infinity"), std::string::npos)
        << error.what();
  }
}

// Pictures of requests that wait are not in memory; those of the request that joins are counted before they are.
TEST(Ending, PicturesAreDecodedWhenTheirRequestJoins) {
  Request request = ask("is there a circle?", 2);
  const int64_t decode = request.images.front().header().decoding_bytes;
  ASSERT_GT(decode, 0);
  const auto peak = [&](const Request& asked) {
    BatchRun batch(demo(), {.sequences = 1});
    for (int64_t ticket = 0; ticket < 3; ++ticket) batch.submit(ticket, asked, {.max_new_tokens = 1});
    for (const auto& [ticket, outcome] : finish(batch)) EXPECT_FALSE(outcome.error);
    return batch.state().peak_bytes_admitted;
  };
  const int64_t bytes = peak(request);
  BatchRun tight(demo(), {.bytes = decode / 2});
  tight.submit(0, request);
  const auto outcomes = finish(tight);
  ASSERT_TRUE(outcomes.at(0).error);
  EXPECT_EQ(outcomes.at(0).error->fault(), Fault::no_memory);
  EXPECT_GT(bytes, decode);
}

}  // namespace
}  // namespace lithe::session
