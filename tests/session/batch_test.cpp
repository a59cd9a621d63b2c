#include "session/batch_support.h"

#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <random>

#include "allocation_meter.h"
#include "image/decode.h"
#include "models/model.h"
#include "plan/parse.h"
#include "session/batch_memory.h"
#include "session/prompt_rows.h"

namespace lithe::session {
namespace {

void expect_equals_alone(Session& session, const std::vector<std::string>& plans) {
  const std::vector<BatchQuestion> questions = mixed_questions(session, plans);
  std::vector<Answer> alone;
  for (const BatchQuestion& question : questions) alone.push_back(session.answer(question.request, question.options));
  const std::vector<BatchLimits> all_limits = {{.sequences = 1},
                                               {.sequences = 4, .prefill_rows = 300},
                                               {.sequences = 16, .prefill_rows = 13},
                                               {.sequences = 16}};
  for (const BatchLimits& limits : all_limits) {
    const auto outcomes = run_all(session, questions, limits);
    ASSERT_EQ(outcomes.size(), questions.size());
    for (const auto& [ticket, outcome] : outcomes) {
      ASSERT_FALSE(outcome.error) << outcome.error->what();
      const std::string where = concat("question ", ticket, ", batch of ", limits.sequences);
      expect_same(outcome.answer, alone[static_cast<size_t>(ticket)], where);
    }
  }
}

TEST(Batch, EveryAnswerEqualsTheAnswerAloneUnderMixedPlans) {
  expect_equals_alone(model("easyvqa-pmod"), {"", "dense", "p-mod", "fastv", "shortv", "kv-compression", "uniform"});
}

// Adapters read the whole prompt; under the second plan one of their layers runs none of it.
TEST(Batch, EveryAnswerEqualsTheAnswerAloneInAModelWithAdapters) {
  const auto plan = std::filesystem::temp_directory_path() / concat("lithe_eas_plan_", ::getpid(), ".json");
  std::ofstream(plan) << R"({"layers": [
    {"layer": 2, "attention": "off", "rules": [{"group": "all", "keep_share": 0, "by": "uniform"}]},
    {"layer": 3, "rules": [{"group": "text", "keep_share": 0.5, "by": "uniform"}]},
    {"layer": 4, "attention": "off"}, {"layer": 5, "attention": "off"}]})";
  expect_equals_alone(model("../tests/data/golden/llava_eas/checkpoint"), {"", plan.string()});
  std::filesystem::remove(plan);
}

TEST(Batch, EveryAnswerEqualsTheAnswerAloneInADenseModel) {
  expect_equals_alone(model("easyvqa-dense"), {"", "pyramiddrop", "random", "vision-attention-skip"});
}

// What the vision tower saw of each picture, and what layers leave for selectors, is each request's own.
TEST(Batch, EveryAnswerEqualsTheAnswerAloneUnderPlansThatDropVisionTokens) {
  expect_equals_alone(model("easyvqa-dense"),
                      {"visionzip", "prumerge-plus", "pooled-picture", "class-attention", "dart", "divprune",
                       "conditional-dpp", "v2drop", "text-attention", "k-norm", "vtw", "late-entry"});
}

// Requests come while others run, and leave at different passes.
TEST(Batch, RequestsJoinAndLeaveAtAnyPass) {
  Session& session = model("easyvqa-pmod");
  const std::vector<BatchQuestion> questions = mixed_questions(session, {"", "dense", "fastv"});
  std::mt19937 draw(5);
  BatchRun batch(session, {.sequences = 5});
  size_t next = 0;
  std::map<int64_t, Answer> answers;
  while (next < questions.size() || !batch.idle()) {
    if (next < questions.size() && draw() % 2 == 0) {
      batch.submit(static_cast<int64_t>(next), questions[next].request, questions[next].options);
      ++next;
    }
    for (Outcome& outcome : batch.step()) answers.emplace(outcome.ticket, std::move(outcome.answer));
  }
  ASSERT_EQ(answers.size(), questions.size());
  for (const auto& [ticket, answer] : answers) {
    const BatchQuestion& question = questions[static_cast<size_t>(ticket)];
    expect_same(answer, session.answer(question.request, question.options), concat("question ", ticket));
  }
}

// A short answer goes on between the chunks of a long prompt; whoever cancels the long one ends no other.
TEST(Batch, ALongPromptRunsInChunksWhileOtherAnswersGoOn) {
  Session& session = model("easyvqa-dense");
  const Request shorter = ask(session, {}, "is there a blue shape?");
  const Request longer = ask(session, {"901.png", "506.png"}, "what is the color of the rectangle?");
  const AnswerOptions options{.max_new_tokens = 40, .ignore_eos = true};
  const Answer alone = session.answer(longer, options), other = session.answer(shorter, options);
  const int64_t chunks = (alone.timings.prompt_rows + 24) / 25;
  ASSERT_GT(chunks, 4);
  for (const bool cancels : {false, true}) {
    BatchRun batch(session, {.prefill_rows = 25});
    batch.submit(0, shorter, options);
    EXPECT_TRUE(batch.step().empty());
    batch.submit(1, longer, options);
    std::map<int64_t, Outcome> outcomes;
    const auto step = [&] {
      const int64_t before = batch.state().tokens;
      for (Outcome& outcome : batch.step()) outcomes.emplace(outcome.ticket, std::move(outcome));
      return batch.state().tokens - before;
    };
    for (int64_t chunk = 1; chunk < chunks; ++chunk) {
      EXPECT_EQ(step(), 1) << "chunk " << chunk;
      if (cancels && chunk == 2) batch.cancel(1);
    }
    while (!batch.idle()) step();
    expect_same(outcomes.at(0).answer, other, "the short one");
    if (cancels)
      EXPECT_EQ(outcomes.at(1).answer.stop, StopReason::cancelled);
    else
      expect_same(outcomes.at(1).answer, alone, "the long one");
  }
}

TEST(Batch, ACallbackEndsItsOwnAnswerOnly) {
  Session& session = model("easyvqa-dense");
  BatchRun batch(session);
  std::string streamed;
  const Request request = ask(session, {"901.png"}, "what is the color of the rectangle?");
  batch.submit(0, request,
               {.max_new_tokens = 12, .ignore_eos = true, .on_text = [](const std::string&) { return false; }});
  batch.submit(1, request, {.max_new_tokens = 12, .ignore_eos = true, .on_text = [&](const std::string& piece) {
                              streamed += piece;
                              return true;
                            }});
  std::map<int64_t, Answer> answers;
  while (!batch.idle()) {
    for (Outcome& outcome : batch.step()) answers.emplace(outcome.ticket, std::move(outcome.answer));
  }
  EXPECT_EQ(answers.at(0).stop, StopReason::cancelled);
  EXPECT_EQ(answers.at(1).tokens.size(), 12U);
  EXPECT_EQ(answers.at(1).text, streamed);
}

// Whatever is held back when the callback ends the answer (a stop string begun, a character unfinished) stays back.
TEST(Answering, ACallbackThatEndedTheAnswerIsNotCalledAgain) {
  Session& session = model("easyvqa-dense");
  const Request request = ask(session, {"901.png"}, "what is the color of the rectangle?");
  for (const bool throws : {false, true}) {
    const std::string whole = session.answer(request, {.max_new_tokens = 12, .ignore_eos = true}).text;
    ASSERT_GT(whole.size(), 2U);
    for (size_t i = 1; i < whole.size(); ++i) {
      int64_t calls = 0;
      std::string streamed;
      const AnswerOptions options{.max_new_tokens = 12,
                                  .ignore_eos = true,
                                  .stop = {whole.substr(i, 1) + "never", whole.substr(1, 1) + "neither"},
                                  .on_text = [&](const std::string& piece) {
                                    ++calls;
                                    streamed += piece;
                                    if (throws) throw std::out_of_range("mine");
                                    return false;
                                  }};
      if (throws) {
        EXPECT_THROW(session.answer(request, options), std::out_of_range);
      } else {
        const Answer answer = session.answer(request, options);
        EXPECT_EQ(answer.stop, StopReason::cancelled);
        EXPECT_EQ(answer.text, streamed);
      }
      EXPECT_EQ(calls, 1) << i;
    }
  }
}

// A request that is wrong, or whose plan the model refuses, fails alone.
TEST(Batch, WrongRequestsFailAlone) {
  Session& session = model("easyvqa-dense");
  const BatchQuestion good{ask(session, {"901.png"}, "is there a circle?"), {.max_new_tokens = 6, .ignore_eos = true}};
  BatchQuestion no_picture = good, gone = good;
  no_picture.request.images.clear();
  plan::Plan nothing_left{.name = "nothing", .layers = {{.layer = 3}}};
  nothing_left.layers[0].rules.push_back(
      {.group = plan::Group::all, .keep_count = 0, .by = "uniform", .others_return = false});
  gone.request.plan = nothing_left;
  const auto outcomes = run_all(session, {good, no_picture, good, gone, good}, {.sequences = 2});
  const Answer alone = session.answer(good.request, good.options);
  for (const int64_t ticket : {0, 2, 4}) expect_same(outcomes.at(ticket).answer, alone, concat("question ", ticket));
  ASSERT_TRUE(outcomes.at(1).error && outcomes.at(3).error);
  for (const auto& [ticket, sentence] :
       {std::pair(1, "0 pictures were given"), std::pair(3, "others_return is false for the group 'all'")}) {
    const Error& error = *outcomes.at(ticket).error;
    EXPECT_EQ(error.fault(), Fault::bad_request) << error.what();
    EXPECT_NE(std::string(error.what()).find(sentence), std::string::npos) << error.what();
  }
}

TEST(Batch, MemoryIsAdmittedBeforeItIsUsed) {
  Session& session = model("easyvqa-pmod");
  const std::vector<BatchQuestion> questions = mixed_questions(session, {"", "dense", "fastv", "shortv"});
  const int64_t one = pass_bytes(session.model(), {.joining_rows = 199, .sequences = 1, .longest = 2048});
  for (const int64_t bytes : {one + (int64_t{6} << 20), one + (int64_t{40} << 20)}) {
    BatchRun batch(session, {.sequences = 16, .bytes = bytes});
    for (size_t i = 0; i < questions.size(); ++i)
      batch.submit(static_cast<int64_t>(i), questions[i].request, questions[i].options);
    const auto meter = std::make_shared<test::AllocationMeter>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
    int64_t most_running = 0;
    size_t answered = 0;
    while (!batch.idle()) {
      for (const Outcome& outcome : batch.step()) answered += !outcome.error;
      most_running = std::max(most_running, batch.state().running);
    }
    EXPECT_EQ(answered, questions.size());
    EXPECT_LE(batch.state().peak_bytes_admitted, bytes);
    EXPECT_LE(meter->peak(), batch.state().peak_bytes_admitted);
    EXPECT_GT(meter->peak(), 0);
    EXPECT_GT(most_running, 1);
  }
}

/// Fails two allocations of LibTorch's in a row while it lives: of a pass, and of the first that runs alone after it.
class FailingAllocator : public c10::Allocator {
 public:
  explicit FailingAllocator(int64_t good) : good_(good) { c10::SetCPUAllocator(this, 100); }
  ~FailingAllocator() override { c10::SetCPUAllocator(usual_, 100); }
  c10::DataPtr allocate(size_t bytes) override {
    if (good_ > -2 && good_-- <= 0) throw std::bad_alloc();
    return usual_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return usual_->raw_deleter(); }
  void copy_data(void* to, const void* from, size_t count) const override { default_copy_data(to, from, count); }
  bool failed() const { return good_ < 0; }

 private:
  c10::Allocator* const usual_ = c10::GetCPUAllocator();
  int64_t good_;
};

// If memory runs out at any point, a request ends with that as its outcome, and the others with their answers.
void expect_outcomes_without_memory(int64_t tokens, const std::vector<Fault>& faults) {
  Session& session = model("easyvqa-pmod");
  std::vector<BatchQuestion> questions;
  std::vector<Answer> alone;
  for (const char* text : {"is there a circle?", "what shape is in the image?", "is there a blue shape?"}) {
    questions.push_back({ask(session, {"901.png"}, text), {.max_new_tokens = tokens, .ignore_eos = true}});
    alone.push_back(session.answer(questions.back().request, questions.back().options));
  }
  int64_t failures = 0;
  bool failed = true;
  for (int64_t good = 0; failed; good += good / 3 + 1) {
    FailingAllocator allocator(good);
    const auto outcomes = run_all(session, questions, {.sequences = 3});
    failed = allocator.failed();
    ASSERT_EQ(outcomes.size(), questions.size());
    for (const auto& [ticket, outcome] : outcomes) {
      if (outcome.error) {
        EXPECT_NE(std::find(faults.begin(), faults.end(), outcome.error->fault()), faults.end())
            << outcome.error->what() << ", allocation " << good;
        ++failures;
      } else {
        expect_same(outcome.answer, alone[static_cast<size_t>(ticket)], concat("allocation ", good));
      }
    }
  }
  EXPECT_GT(failures, 0);
}

TEST(Batch, ALackOfMemoryIsAnOutcome) {
  expect_outcomes_without_memory(1, {Fault::no_memory});
  expect_outcomes_without_memory(3, {Fault::no_memory});
}

TEST(Batch, RefusesWhatNeverFits) {
  Session& session = model("easyvqa-pmod");
  BatchQuestion question{ask(session, {"901.png"}, "is there a circle?"), {.max_new_tokens = 400}};
  const auto outcomes = run_all(session, {question}, {.bytes = 1 << 20});
  ASSERT_TRUE(outcomes.at(0).error);
  EXPECT_NE(std::string(outcomes.at(0).error->what()).find("allow more memory"), std::string::npos);
  EXPECT_THROW(BatchRun(session, {.sequences = 0}), Error);
  EXPECT_THROW(BatchRun(session, {.prefill_rows = 0}), Error);
  EXPECT_THROW(BatchRun(session, {.bytes = 0}), Error);
}

// With room for one request at a time, prompts that are ready beside it must not keep it from running.
TEST(Batch, TheLeastMemoryIsEnoughForOneAfterAnother) {
  Session& session = model("easyvqa-pmod");
  BatchQuestion question{ask(session, {}, "is there a circle?"), {.max_new_tokens = 4, .ignore_eos = true}};
  const PromptRows prompt = build_prompt(session.model(), question.request);
  const int64_t alone = worst_case(session.model(), {.caches = cache_bytes(session.model(), session.plan(), prompt, 4),
                                                     .joining_rows = prompt.rows(),
                                                     .sequences = 1,
                                                     .longest = prompt.rows() + 4});
  for (const int64_t more : {int64_t{0}, embedding_bytes(session.model(), prompt.rows()), int64_t{4} << 20}) {
    BatchRun batch(session, {.sequences = 16, .bytes = alone + more});
    for (int64_t ticket = 0; ticket < 5; ++ticket) batch.submit(ticket, question.request, question.options);
    size_t answered = 0;
    for (int64_t steps = 0; steps < 100 && !batch.idle(); ++steps) {
      for (const Outcome& outcome : batch.step()) answered += !outcome.error;
    }
    EXPECT_EQ(answered, 5U) << more;
    EXPECT_LE(batch.state().peak_bytes_admitted, alone + more);
  }
  const auto outcomes = run_all(session, {question}, {.bytes = alone - 1});
  ASSERT_TRUE(outcomes.at(0).error);
}

// The worst case of the cache is its size if every token is made and the last one is run too.
TEST(Batch, CountsTheCacheAsItIsHeld) {
  Session& session = model("easyvqa-pmod");
  for (const char* plan : {"p-mod", "dense", "fastv", "shortv", "kv-compression", "pyramiddrop"}) {
    const Request request = ask(session, {"901.png", "506.png"}, "is there a circle?", plan);
    const int64_t tokens = 5;
    const Answer answer = session.answer(request, {.max_new_tokens = tokens, .ignore_eos = true});
    const int64_t counted = cache_bytes(session.model(), *request.plan, build_prompt(session.model(), request), tokens);
    const models::DecoderConfig& config = session.model().decoder.config;
    int64_t rows = 0;
    for (const int64_t held : answer.cache.rows_at_end) rows += ops::blocks_for(held + 1) * ops::kBlockRows;
    EXPECT_EQ(counted, 2 * rows * config.kv_heads * config.head_dim * int64_t{sizeof(float)}) << plan;
  }
}

}  // namespace
}  // namespace lithe::session
