// Layers that hold an attention and a PIA: the plan of each request picks.
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <set>

#include "base/error.h"
#include "image/decode.h"
#include "models/both_folder.h"
#include "session/batch.h"
#include "session/chat.h"
#include "session/trace.h"
#include "trace_deviation.h"

namespace lithe::session {
namespace {

namespace fs = std::filesystem;
using Layers = std::set<int64_t>;

const fs::path kEas = fs::path(LITHE_TEST_DATA) / "golden/llava_eas";
const std::vector<Layers> kPlans{{}, {2, 4, 5}, {0, 3}, {0, 1, 2, 3, 4, 5}};

plan::Plan plan_without(const Layers& off) {
  plan::Plan plan{.name = "test", .layers = {}};
  for (const int64_t layer : off) plan.layers.push_back({.layer = layer, .self_attention = false});
  return plan;
}

class StandIns : public ::testing::Test {
 protected:
  StandIns() : temp_(fs::temp_directory_path() / ("lithe_stand_ins_" + std::to_string(::getpid()))) {
    fs::remove_all(temp_);
    fs::create_directories(temp_);
    test::write_both(temp_ / "both");
  }
  ~StandIns() override { fs::remove_all(temp_); }

  Session both() const { return Session::open(temp_ / "both"); }

  /// A folder that has only what this plan runs.
  Session one(const Layers& off) {
    const fs::path folder = temp_ / ("one-" + std::to_string(folders_++));
    test::write_one_of_both(folder, off);
    return Session::open(folder);
  }

  static Request request(const Session& session, size_t i, const Layers& off) {
    Request request{.raw = true, .plan = plan_without(off)};
    request.text = i % 2 == 0 ? "USER: <image>\nWhat is this? ASSISTANT:" : "USER: Which word is a verb? ASSISTANT:";
    if (i % 2 == 0) request.images.push_back(image::read_image(kEas / "inputs/image0.png", session.decode_options()));
    return request;
  }

  io::SafetensorsFile traced(const Session& session, const Request& request) {
    const fs::path file = temp_ / concat("trace-", traces_++, ".safetensors");
    write_trace(session, request, {.max_tokens = 8, .ignore_eos = true}, file);
    return io::open_safetensors(file);
  }

  fs::path temp_;
  int64_t folders_ = 0, traces_ = 0;
};

TEST_F(StandIns, AnswerAsFoldersThatHoldOneOfBoth) {
  const Session whole = both();
  std::set<std::vector<float>> different;
  for (const Layers& off : kPlans) {
    const Session alone = one(off);
    for (size_t i = 0; i < 2; ++i) {
      const io::SafetensorsFile a = traced(whole, request(whole, i, off)), b = traced(alone, request(alone, i, off));
      EXPECT_EQ(test::deviation(a, b, "logits"), 0);
      EXPECT_EQ(test::deviation(a, b, "step_logits"), 0);
      const auto held = a.tensors.at("kv_lengths.end").values<int64_t>();
      for (size_t layer = 0; layer < held.size(); ++layer)
        EXPECT_EQ(held[layer] == 0, off.contains(static_cast<int64_t>(layer)));
      const auto logits = a.tensors.at("logits").values<float>();
      if (i == 0) different.insert({logits.begin(), logits.end()});
    }
  }
  EXPECT_EQ(different.size(), kPlans.size());
}

TEST_F(StandIns, MayDifferInOneBatch) {
  const Session whole = both();
  const AnswerOptions options{.max_new_tokens = 8, .ignore_eos = true};
  std::vector<Request> requests;
  for (size_t i = 0; i < 2 * kPlans.size(); ++i) requests.push_back(request(whole, i, kPlans[i / 2]));
  BatchRun batch(whole);
  for (size_t i = 0; i < requests.size(); ++i) batch.submit(static_cast<int64_t>(i), requests[i], options);
  size_t seen = 0, most = 0;
  while (!batch.idle()) {
    for (const Outcome& outcome : batch.step()) {
      ASSERT_FALSE(outcome.error) << outcome.error->what();
      const Answer alone = whole.answer(requests.at(static_cast<size_t>(outcome.ticket)), options);
      EXPECT_EQ(outcome.answer.tokens, alone.tokens) << outcome.ticket;
      for (size_t token = 0; token < alone.tokens.size(); ++token)
        EXPECT_NEAR(outcome.answer.token_logits[token], alone.token_logits[token], 1e-4) << outcome.ticket;
      EXPECT_EQ(outcome.answer.cache.rows_at_end, alone.cache.rows_at_end) << outcome.ticket;
      ++seen;
    }
    most = std::max(most, static_cast<size_t>(batch.state().running));
  }
  EXPECT_EQ(seen, requests.size());
  EXPECT_GT(most, 1u);
}

TEST_F(StandIns, APlanForWhatIsMissingIsRefused) {
  const Session alone = one({2, 4});
  const AnswerOptions options{.max_new_tokens = 2};
  EXPECT_NO_THROW(alone.answer(request(alone, 1, {0, 2, 4}), options));
  for (const Layers& off : {Layers{}, Layers{2}, Layers{0, 4}}) {
    try {
      alone.answer(request(alone, 1, off), options);
      FAIL() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::bad_request);
      EXPECT_NE(std::string(error.what()).find("its self-attention has no weights"), std::string::npos);
    }
  }
}

/// Only a PIA that runs reads the whole prompt: a plan without one reuses what the turn before computed.
TEST_F(StandIns, AChatReusesWhatItsPlanAllows) {
  test::drop(temp_ / "both", {0, 1, 2, 3, 4, 5}, {"adapter_attn."});
  const Session whole = both();
  const AnswerOptions options{.max_new_tokens = 4, .ignore_eos = true};
  Chat chat(whole);
  std::vector<bool> reused;
  for (const Layers& off : {Layers{}, Layers{}, Layers{1}, Layers{1}, Layers{}, Layers{}}) {
    chat.use_plan(plan_without(off));
    Request fresh{.messages = chat.messages(), .plan = plan_without(off)};
    fresh.messages.push_back(text::user_message("a?", 0));
    const Answer expected = whole.answer(fresh, options), answer = chat.ask("a?", {}, options);
    EXPECT_EQ(answer.tokens, expected.tokens);
    for (size_t token = 0; token < expected.tokens.size(); ++token)
      EXPECT_NEAR(answer.token_logits[token], expected.token_logits[token], 1e-4);
    reused.push_back(answer.timings.reused_rows > 0);
  }
  EXPECT_EQ(reused, (std::vector<bool>{false, true, false, false, false, true}));
}

}  // namespace
}  // namespace lithe::session
