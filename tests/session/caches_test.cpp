#include <c10/core/Allocator.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>

#include "allocation_meter.h"
#include "models/model.h"
#include "session/batch_memory.h"
#include "session/batch_support.h"

namespace lithe::session {
namespace {

constexpr int64_t kPlenty = int64_t{1} << 30;
constexpr BatchLimits kCached{.prefix_cache_bytes = kPlenty, .picture_cache_bytes = kPlenty};

constexpr const char* kEas = "../tests/data/golden/llava_eas/checkpoint";

/// A batch that answers one list of questions after another, and remembers between them.
class Asker {
 public:
  Asker(Session& session, const BatchLimits& limits) : batch_(session, limits) {}

  /// All at once, in their order.
  std::vector<Answer> ask(const std::vector<BatchQuestion>& questions) {
    for (size_t i = 0; i < questions.size(); ++i)
      batch_.submit(static_cast<int64_t>(i), questions[i].request, questions[i].options);
    std::vector<Answer> answers(questions.size());
    while (!batch_.idle()) {
      for (Outcome& outcome : batch_.step()) {
        EXPECT_FALSE(outcome.error) << outcome.error->what();
        answers[static_cast<size_t>(outcome.ticket)] = std::move(outcome.answer);
      }
    }
    return answers;
  }
  Answer ask(const BatchQuestion& question) { return ask(std::vector{question}).front(); }
  CacheState caches() const { return batch_.state().caches; }
  BatchRun& batch() { return batch_; }

 private:
  BatchRun batch_;
};

BatchQuestion question(Session& session, const std::vector<std::string>& pictures, const std::string& text,
                       const std::string& plan = {}) {
  return {ask(session, pictures, text, plan), {.max_new_tokens = 6, .ignore_eos = true}};
}

/// The same question with a system message before it.
BatchQuestion under(const std::string& system, BatchQuestion question) {
  auto& messages = question.request.messages;
  messages.insert(messages.begin(), text::text_message("system", system));
  return question;
}

const std::string kSystem =
    "you answer questions about pictures of shapes . the shapes are a circle , a triangle and a rectangle . the colors "
    "are "
    "red , green , blue , yellow , brown , black , gray and teal . answer with one word , and if there is no such "
    "shape say no "
    ". do not say what you can not see , and do not ask for another picture . be short .";

Answer alone(Session& session, const BatchQuestion& question) {
  return session.answer(question.request, question.options);
}

/// Every question twice, so that the second time finds what the first left, and in two orders.
void expect_equals_alone_twice(Session& session, const std::vector<std::string>& plans,
                               const std::string& system = kSystem) {
  std::vector<BatchQuestion> questions = mixed_questions(session, plans);
  for (size_t i = 0; i < questions.size(); i += 2) questions[i] = under(system, questions[i]);
  std::vector<Answer> expected;
  for (const BatchQuestion& one : questions) expected.push_back(alone(session, one));
  const std::vector<BatchLimits> all_limits = {
      {.sequences = 1, .prefix_cache_bytes = kPlenty},
      {.sequences = 16, .prefix_cache_bytes = kPlenty, .picture_cache_bytes = kPlenty},
      {.sequences = 3, .prefill_rows = 300, .prefix_cache_bytes = 8 << 20, .picture_cache_bytes = 300'000}};
  for (const BatchLimits& limits : all_limits) {
    Asker asker(session, limits);
    std::mt19937 draw(3);
    for (int round = 0; round < 2; ++round) {
      std::vector<size_t> order(questions.size());
      for (size_t i = 0; i < order.size(); ++i) order[i] = i;
      if (round > 0) std::shuffle(order.begin(), order.end(), draw);
      std::vector<BatchQuestion> asked;
      for (const size_t i : order) asked.push_back(questions[i]);
      const std::vector<Answer> answers = asker.ask(asked);
      for (size_t i = 0; i < order.size(); ++i) {
        expect_same(answers[i], expected[order[i]],
                    concat("question ", order[i], ", round ", round, ", batch of ", limits.sequences, ", ",
                           answers[i].timings.reused_rows, " rows held"));
        EXPECT_EQ(answers[i].rows_run, expected[order[i]].rows_run) << order[i];
      }
    }
    EXPECT_LE(asker.caches().prefix_bytes, limits.prefix_cache_bytes);
    EXPECT_LE(asker.caches().picture_bytes, limits.picture_cache_bytes);
    if (limits.picture_cache_bytes == kPlenty) {
      EXPECT_GT(asker.caches().pictures_found, 0);
    }
  }
}

TEST(Caches, EveryAnswerEqualsTheAnswerAloneUnderMixedPlans) {
  expect_equals_alone_twice(model("easyvqa-pmod"), {"", "dense", "fastv", "p-mod", "shortv", "kv-compression"});
}

TEST(Caches, EveryAnswerEqualsTheAnswerAloneInADenseModel) {
  expect_equals_alone_twice(model("easyvqa-dense"),
                            {"", "visionzip", "pyramiddrop", "prumerge-plus", "text-attention", "vtw"});
}

TEST(Caches, EveryAnswerEqualsTheAnswerAloneInAModelWithAdapters) {
  expect_equals_alone_twice(model(kEas), {""}, "be short");
}

TEST(Caches, ASecondQuestionAboutAPictureRunsOnlyItsText) {
  Session& session = model("easyvqa-pmod");
  for (const std::string plan : {"p-mod", "dense", "fastv"}) {
    SCOPED_TRACE(plan);
    const BatchQuestion first = under(kSystem, question(session, {"901.png", "506.png"}, "is there a circle?", plan));
    const BatchQuestion second = under(kSystem, question(session, {"901.png", "506.png"}, "is the circle blue?", plan));
    const BatchQuestion other = under(kSystem, question(session, {"901.png", "100.png"}, "is there a circle?", plan));
    Asker asker(session, kCached);
    EXPECT_EQ(asker.ask(first).timings.reused_rows, 0);
    const Answer again = asker.ask(first);
    expect_same(again, alone(session, first), "the same again");
    const Answer next = asker.ask(second);
    expect_same(next, alone(session, second), "another question");
    const Answer differs = asker.ask(other);
    expect_same(differs, alone(session, other), "another picture");
    const int64_t rows = again.timings.prompt_rows, seen = rows - again.timings.vision_rows;
    if (plan == "fastv") {  // looks from the last row at all of the pictures
      EXPECT_LT(again.timings.reused_rows, seen);
      EXPECT_GT(again.timings.reused_rows, seen / 2);
      EXPECT_EQ(next.timings.reused_rows, again.timings.reused_rows);
    } else {
      EXPECT_EQ(again.timings.reused_rows, rows - 1);
      EXPECT_GT(next.timings.reused_rows, again.timings.vision_rows);
      EXPECT_LT(next.timings.reused_rows, next.timings.prompt_rows - 1);
    }
    // p-MoD's routers choose among the rows of both pictures, so with another one they choose again.
    EXPECT_LT(differs.timings.reused_rows, next.timings.reused_rows + (plan == "fastv" ? 1 : 0));
    EXPECT_EQ(asker.caches().pictures_asked, 8);
    EXPECT_EQ(asker.caches().pictures_found, 5);
    EXPECT_EQ(asker.caches().prefix_rows_asked, 3 * rows + next.timings.prompt_rows);
    EXPECT_EQ(asker.caches().prefix_rows_found,
              again.timings.reused_rows + next.timings.reused_rows + differs.timings.reused_rows);
  }
}

TEST(Caches, TheNextTurnTakesTheAnswerToo) {
  Session& session = model("easyvqa-pmod");
  BatchQuestion turn = under(kSystem, question(session, {"901.png"}, "is there a circle?", "dense"));
  turn.options.ignore_eos = false;
  Asker asker(session, kCached);
  const Answer first = asker.ask(turn);
  turn.request.messages.push_back(text::text_message("assistant", first.text));
  turn.request.messages.push_back(text::text_message("user", "is it blue?"));
  const Answer next = asker.ask(turn);
  expect_same(next, alone(session, turn), "the next turn");
  EXPECT_GE(next.timings.reused_rows, first.timings.prompt_rows);
}

TEST(Caches, AdaptersThatReadThePromptShareNothing) {
  Session& session = model(kEas);
  const BatchQuestion one = question(session, {}, "is there a circle?");
  Asker asker(session, kCached);
  expect_same(asker.ask(one), alone(session, one), "first");
  const Answer again = asker.ask(one);
  expect_same(again, alone(session, one), "again");
  EXPECT_EQ(again.timings.reused_rows, 0);
  EXPECT_EQ(asker.caches().prefix_bytes, 0);
}

TEST(Caches, OnePixelMakesAnotherPicture) {
  Session& session = model("easyvqa-dense");
  BatchQuestion first = under(kSystem, question(session, {}, "is there a circle?"));
  auto& parts = first.request.messages.back().parts;
  parts.insert(parts.begin(), {.kind = text::Part::Kind::image, .text = {}});
  BatchQuestion second = first;
  image::Image pixels = image::read_image(kModels / "images/901.png", session.decode_options());
  first.request.images.push_back(pixels);
  uint8_t& pixel = pixels.row(pixels.height / 2)[3 * (pixels.width / 2)];
  pixel = static_cast<uint8_t>(pixel < 128 ? 255 : 0);
  second.request.images.push_back(pixels);
  Asker asker(session, kCached);
  asker.ask(first);
  const Answer answer = asker.ask(second);
  expect_same(answer, alone(session, second), "one pixel");
  EXPECT_EQ(asker.caches().pictures_found, 0);
  EXPECT_LT(answer.timings.reused_rows, answer.timings.prompt_rows - answer.timings.vision_rows);
  asker.ask(second);
  EXPECT_EQ(asker.caches().pictures_found, 1);
}

TEST(Caches, PicturesThatWaitTogetherRunOnce) {
  Session& session = model("easyvqa-dense");
  std::vector<BatchQuestion> questions;
  for (const char* text : {"is there a circle?", "is there a blue shape?", "what shape is in the image?"}) {
    questions.push_back(question(session, {"901.png"}, text));
    questions.push_back(question(session, {"506.png", "901.png"}, text));
  }
  for (const int64_t bytes : {int64_t{0}, kPlenty}) {
    Asker asker(session, {.prefix_cache_bytes = kPlenty, .picture_cache_bytes = bytes});
    const std::vector<Answer> answers = asker.ask(questions);
    for (size_t i = 0; i < questions.size(); ++i) expect_same(answers[i], alone(session, questions[i]), concat(i));
    EXPECT_EQ(asker.caches().pictures_asked, 9);
    EXPECT_EQ(asker.caches().pictures_found, 7);
  }
}

TEST(Caches, EightUsersOverOneSystemPromptComputeItOnce) {
  Session& session = model("easyvqa-pmod");
  std::vector<BatchQuestion> questions;
  const char* const kTexts[] = {"is there a circle?", "is there a blue shape?", "what shape is in the image?", "why?"};
  for (size_t i = 0; i < 8; ++i)
    questions.push_back(under(kSystem, question(session, {}, concat(kTexts[i % 4], i < 4 ? "" : " say yes or no."))));
  Asker asker(session, kCached);
  const std::vector<Answer> answers = asker.ask(questions);
  EXPECT_EQ(answers[0].timings.reused_rows, 0);
  for (size_t i = 0; i < questions.size(); ++i) {
    expect_same(answers[i], alone(session, questions[i]), concat("user ", i));
    if (i > 0) {
      EXPECT_GT(answers[i].timings.reused_rows, 64) << i;
    }
  }
  // Nobody waits for rows if they are not shared.
  Asker apart(session, {});
  for (const Answer& answer : apart.ask(questions)) EXPECT_EQ(answer.timings.reused_rows, 0);
}

TEST(Caches, AnotherSaltSharesNothing) {
  Session& session = model("easyvqa-pmod");
  BatchQuestion one = under(kSystem, question(session, {"901.png"}, "is there a circle?"));
  Asker asker(session, kCached);
  for (const char* salt : {"", "mine", "yours"}) {
    one.request.cache_salt = salt;
    EXPECT_EQ(asker.ask(one).timings.reused_rows, 0) << salt;
  }
  EXPECT_EQ(asker.caches().pictures_found, 0);
  EXPECT_GT(asker.ask(one).timings.reused_rows, 0);
  EXPECT_EQ(asker.caches().pictures_found, 1);
}

// A request that ends at any point leaves the caches as they are, or with rows that are right.
TEST(Caches, CancelledRequestsLeaveRightRows) {
  Session& session = model("easyvqa-pmod");
  const BatchQuestion one = under(kSystem, question(session, {"901.png"}, "is there a circle?"));
  const BatchQuestion two = under(kSystem, question(session, {"901.png"}, "is there a blue shape?"));
  const Answer first = alone(session, one), second = alone(session, two);
  using Stage = Progress::Stage;
  const std::vector<std::pair<Stage, int64_t>> ends = {{Stage::pictures, 1}, {Stage::pictures, 3}, {Stage::prefill, 1},
                                                       {Stage::prefill, 7},  {Stage::decode, 1},   {Stage::decode, 3}};
  for (const auto& [stage, at] : ends) {
    const std::string where = concat("stage ", static_cast<int>(stage), " at ", at);
    Asker asker(session, kCached);
    BatchQuestion cut = one;
    cut.options.on_progress = [&, stage = stage, at = at](const Progress& progress) {
      if (progress.stage == stage && progress.done == at) asker.batch().cancel(0);
    };
    const std::vector<Answer> answers = asker.ask({cut, two, one});
    EXPECT_EQ(answers[0].stop, StopReason::cancelled) << where;
    expect_same(answers[1], second, where + ", beside it");
    expect_same(answers[2], first, where + ", the same");
    expect_same(asker.ask(two), second, where + ", after it");
    expect_same(asker.ask(one), first, where + ", the same after it");
  }
}

// The caches live in what the requests leave, and give it back when requests need it.
TEST(Caches, MemoryIsBounded) {
  Session& session = model("easyvqa-pmod");
  std::vector<BatchQuestion> questions = mixed_questions(session, {"", "dense", "fastv", "shortv"});
  for (size_t i = 0; i < questions.size(); i += 2) questions[i] = under(kSystem, questions[i]);
  const int64_t one = pass_bytes(session.model(), {.joining_rows = 320, .sequences = 1, .longest = 2048});
  for (const int64_t bytes : {one + (int64_t{10} << 20), one + (int64_t{40} << 20), one + (int64_t{160} << 20)}) {
    Asker asker(session, {.bytes = bytes, .prefix_cache_bytes = bytes, .picture_cache_bytes = bytes});
    const auto meter = std::make_shared<test::AllocationMeter>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
    for (int round = 0; round < 2; ++round) asker.ask(questions);
    EXPECT_LE(asker.batch().state().peak_bytes_admitted, bytes);
    EXPECT_LE(meter->peak(), asker.batch().state().peak_bytes_admitted);
    EXPECT_LE(asker.caches().prefix_bytes + asker.caches().picture_bytes, bytes);
    EXPECT_GT(asker.caches().prefix_rows_found, 0) << bytes;
  }
}

}  // namespace
}  // namespace lithe::session
