#include "session/loras.h"

#include <array>
#include <cmath>
#include <fstream>
#include <memory>

#include "checkpoints/read/lora_over.h"
#include "models/lora_over.h"
#include "models/shipped_lora.h"
#include "sentence_of.h"
#include "session/batch_support.h"
#include "temporary_folder.h"

// Several LoRA over one model, in one batch.
namespace lithe::session {
namespace {

using lithe::test::lora_of_all_parts;
using lithe::test::lora_of_decoder;
using lithe::test::PeftFolder;
using lithe::test::sentence_of;
using lithe::test::TemporaryFolder;

constexpr const char* kModel = "easyvqa-pmod";
constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kMost = 64 * kMiB;  // bytes of a LoRA

/// A LoRA over the shared model, and the model that is opened with it alone.
class Loras : public ::testing::Test {
 protected:
  Session& shared_ = model(kModel);
  TemporaryFolder folder_;

  std::string write(const std::string& name, const PeftFolder& lora) const {
    lora.write(folder_ / name);
    return (folder_ / name).string();
  }
  Lora over(const std::string& name) const { return open_lora(shared_, name, (folder_ / name).string(), kMost); }
  Session alone(const std::string& name) const { return Session::open(kModels / kModel, {.lora = folder_ / name}); }
  std::string refused(const std::string& name) const {
    return sentence_of([&] { over(name); });
  }
};

/// Under random factors, probabilities are so flat that rounding could change what is drawn.
std::vector<BatchQuestion> greedy(std::vector<BatchQuestion> questions) {
  for (BatchQuestion& question : questions) question.options.sampling.reset();
  return questions;
}

/// The same questions under no LoRA, the first, the second, and so on.
std::vector<BatchQuestion> spread(std::vector<BatchQuestion> questions, const std::vector<Lora>& loras) {
  for (size_t i = 0; i < questions.size(); ++i) questions[i].request.lora = loras[i % loras.size()];
  return questions;
}

TEST_F(Loras, AnswersInAMixedBatchEqualTheModelWithThatLoraAlone) {
  write("a", lora_of_decoder(1));
  write("b", lora_of_all_parts(2));
  const Session a = alone("a"), b = alone("b");
  const std::array<const Session*, 3> sessions{&shared_, &a, &b};
  const std::vector<BatchQuestion> plain =
      greedy(mixed_questions(shared_, {"", "dense", "fastv", "shortv", "visionzip", "kv-compression"}));
  const std::vector<BatchQuestion> questions = spread(plain, {nullptr, over("a"), over("b")});
  std::vector<Answer> expected;
  for (size_t i = 0; i < plain.size(); ++i)
    expected.push_back(sessions[i % 3]->answer(plain[i].request, plain[i].options));
  for (const size_t i : {1U, 2U, 4U, 5U}) {
    const Answer base = shared_.answer(plain[i].request, plain[i].options);
    EXPECT_GT(std::abs(expected[i].token_logits.front() - base.token_logits.front()), 0.02) << "no LoRA shows";
  }
  const BatchLimits together{.sequences = 16};
  const BatchLimits few{.sequences = 3, .prefill_rows = 300};
  const BatchLimits cached{.sequences = 16, .prefix_cache_bytes = 64 * kMiB, .picture_cache_bytes = 64 * kMiB};
  for (const BatchLimits& limits : {together, few, cached}) {
    const std::map<int64_t, Outcome> outcomes = run_all(shared_, questions, limits);
    ASSERT_EQ(outcomes.size(), questions.size());
    for (size_t i = 0; i < questions.size(); ++i) {
      const Outcome& outcome = outcomes.at(static_cast<int64_t>(i));
      ASSERT_FALSE(outcome.error) << outcome.error->what();
      expect_same(outcome.answer, expected[i], concat("question ", i, " of a batch of ", limits.sequences));
    }
  }
}

// The arithmetic is that of the model opened with the LoRA, so the bits are too.
TEST_F(Loras, AnAnswerAloneHasTheSameBits) {
  write("b", lora_of_all_parts(3));
  for (const char* weights : {"auto", "float32", "bfloat16", "int8", "int4"}) {
    const Session base = Session::open(kModels / kModel, {.weights = weights});
    const Session whole = Session::open(kModels / kModel, {.lora = folder_ / "b", .weights = weights});
    Request request = ask(base, {"901.png"}, "what is the color of the rectangle?");
    const AnswerOptions options{.max_new_tokens = 8, .ignore_eos = true, .best_tokens = 2};
    const Answer expected = whole.answer(request, options);
    request.lora = open_lora(base, "b", (folder_ / "b").string(), kMost);
    const Answer answer = base.answer(request, options);
    EXPECT_EQ(answer.tokens, expected.tokens) << weights;
    EXPECT_EQ(answer.token_logits, expected.token_logits) << weights;
    EXPECT_EQ(answer.counted.flops, expected.counted.flops) << weights;
    const LoraFacts facts = facts_of(*request.lora);
    const Json lora = whole.describe().at("lora");
    EXPECT_EQ(facts.products, lora.at("products").get<int64_t>());
    EXPECT_EQ(facts.lowest_rank, lora.at("ranks").at(0).get<int64_t>());
    EXPECT_EQ(facts.highest_rank, lora.at("ranks").at(1).get<int64_t>());
    EXPECT_GT(facts.bytes, 0);
  }
}

/// Asks one question after another, each when the one before has its answer.
class Asking {
 public:
  explicit Asking(const Session& session)
      : batch_(session, {.prefix_cache_bytes = 64 * kMiB, .picture_cache_bytes = 64 * kMiB}) {}

  Answer ask(const Request& request, const Lora& lora, const AnswerOptions& options = {.max_new_tokens = 6}) {
    Request own = request;
    own.lora = lora;
    batch_.submit(++ticket_, std::move(own), options);
    while (true) {
      for (Outcome& outcome : batch_.step()) {
        EXPECT_FALSE(outcome.error) << outcome.error->what();
        return std::move(outcome.answer);
      }
    }
  }
  CacheState caches() const { return batch_.state().caches; }

 private:
  BatchRun batch_;
  int64_t ticket_ = 0;
};

TEST_F(Loras, KeysAndValuesOfAnotherAreNeverTaken) {
  write("a", lora_of_decoder(1));
  write("b", lora_of_all_parts(2));
  const Session a = alone("a"), b = alone("b");
  const Request request = session::ask(shared_, {"901.png"}, "what is the color of the rectangle?");
  const AnswerOptions options{.max_new_tokens = 6};
  const std::vector<std::pair<Lora, Answer>> all{{nullptr, shared_.answer(request, options)},
                                                 {over("a"), a.answer(request, options)},
                                                 {over("b"), b.answer(request, options)}};
  Asking asking(shared_);
  for (const bool warm : {false, true}) {
    for (const auto& [lora, expected] : all) {
      const Answer answer = asking.ask(request, lora);
      EXPECT_EQ(answer.tokens, expected.tokens);
      EXPECT_EQ(answer.timings.reused_rows > 0, warm);
    }
  }
  // `a` leaves pictures as they are, so it shares the rows of the model's own.
  EXPECT_EQ(asking.caches().pictures_asked, 6);
  EXPECT_EQ(asking.caches().pictures_found, 4);
}

TEST_F(Loras, OneThatIsLoadedAgainTakesNothingOfTheOld) {
  const Request request = session::ask(shared_, {"506.png"}, "is there a blue shape?");
  Asking asking(shared_);
  for (const uint32_t seed : {4U, 5U}) {
    write("a", lora_of_all_parts(seed));
    const Answer answer = asking.ask(request, over("a"));
    EXPECT_EQ(answer.timings.reused_rows, 0);
    EXPECT_EQ(answer.tokens, alone("a").answer(request, {.max_new_tokens = 6}).tokens);
  }
  EXPECT_EQ(asking.caches().pictures_found, 0);
}

TEST_F(Loras, FilesMayGoWhenItIsOpen) {
  write("a", lora_of_decoder(6));
  const Request request = session::ask(shared_, {}, "is there a blue shape?");
  const Answer expected = alone("a").answer(request, {.max_new_tokens = 6});
  const Lora lora = over("a");
  std::filesystem::resize_file(folder_ / "a" / "adapter_model.safetensors", 0);
  std::filesystem::remove_all(folder_ / "a");
  EXPECT_EQ(Asking(shared_).ask(request, lora).tokens, expected.tokens);
}

TEST_F(Loras, SeveralAnswersAndGivenOnesAreUnderItToo) {
  write("b", lora_of_all_parts(7));
  const Session b = alone("b");
  Request request = session::ask(shared_, {"901.png"}, "what shape is in the image?");
  AnswerOptions drawn{.max_new_tokens = 7, .sampling = SamplingPolicy{.temperature = 1.5, .seed = 3}};
  AnswerOptions other = drawn;
  other.sampling->seed = 4;
  const Answer first = b.answer(request, drawn), second = b.answer(request, other);
  request.given_answer = "A large blue rectangle.";
  const Answer given = b.answer(request);
  const Lora lora = over("b");
  BatchRun batch(shared_);
  Request several = session::ask(shared_, {"901.png"}, "what shape is in the image?");
  several.lora = request.lora = lora;
  batch.submit_several(1, several, {drawn, other});
  batch.submit(2, request);
  while (!batch.idle()) {
    for (const Outcome& outcome : batch.step()) {
      ASSERT_FALSE(outcome.error) << outcome.error->what();
      if (outcome.ticket == 1) {
        EXPECT_EQ(outcome.answer.tokens, first.tokens);
        ASSERT_EQ(outcome.more.size(), 1U);
        EXPECT_EQ(outcome.more[0].tokens, second.tokens);
      } else {
        ASSERT_EQ(outcome.answer.losses.size(), given.losses.size());
        for (size_t i = 0; i < given.losses.size(); ++i)
          EXPECT_NEAR(outcome.answer.losses[i], given.losses[i], 1e-3) << i;
      }
    }
  }
}

TEST_F(Loras, ItsPlanHoldsForRequestsWithoutOne) {
  write("a", lora_of_decoder(8));
  std::filesystem::copy_file(LITHE_SOURCE_DIR "/plans/vision-attention-skip.json", folder_ / "a" / "plan.json");
  const Session a = alone("a");
  Request request = session::ask(shared_, {"901.png"}, "what shape is in the image?");
  const Answer expected = a.answer(request, {.max_new_tokens = 4});
  const Lora lora = over("a");
  Asking asking(shared_);
  expect_same(asking.ask(request, lora, {.max_new_tokens = 4}), expected, "the LoRA's plan");
  EXPECT_NE(expected.counted.flops, shared_.answer(request, {.max_new_tokens = 4}).counted.flops);
  request.plan = plan::load_plan("dense", shared_.facts());
  expect_same(asking.ask(request, lora, {.max_new_tokens = 4}), a.answer(request, {.max_new_tokens = 4}), "its own");
}

TEST_F(Loras, SaysWhyAFolderIsRefused) {
  const auto expect = [&](const std::string& name, const std::string& words) {
    EXPECT_NE(refused(name).find(words), std::string::npos) << name << ": " << refused(name);
  };
  PeftFolder wrong(4, 8, 1);
  wrong.add("model.layers.0.self_attn.q_proj", 160, 96);
  write("narrow", wrong);
  expect("narrow",
         "its factors do not fit the model: model.layers.0.self_attn.q_proj file [160, 96], model [160, 160]");
  PeftFolder deep(4, 8, 1);
  deep.add("model.layers.12.self_attn.q_proj", 160, 160);
  write("deep", deep);
  expect("deep", "adapts 1 layers that the model does not have, such as \"model.layers.12.self_attn.q_proj\"");
  PeftFolder router(4, 8, 1);
  router.add("model.layers.5.router", 1, 160);
  write("router", router);
  expect("router", "that the model does not have");
  PeftFolder idle(4, 8, 1);
  idle.add("model.vision_tower.vision_tower.vision_model.encoder.layers.4.mlp.fc1", 512, 128);
  write("idle", idle);
  expect("idle", "adapts no layer that the model runs");
  PeftFolder whole = lora_of_decoder(1);
  whole.put("base_model.model.model.mm_projector.0.weight", {160, 128}, 0.1);
  write("whole", whole);
  expect("whole", "brings 1 complete tensors");
  write("config", lora_of_decoder(1));
  std::ofstream(folder_ / "config" / "config.json") << "{}";
  expect("config", "brings a config.json");
  PeftFolder dora = lora_of_decoder(1);
  dora.config["use_dora"] = true;
  write("dora", dora);
  expect("dora", "DoRA is not supported");
  write("damaged", lora_of_decoder(1));
  std::filesystem::resize_file(folder_ / "damaged" / "adapter_model.safetensors", 1000);
  EXPECT_NE(refused("damaged"), "");
  EXPECT_NE(refused("nowhere"), "");
  std::filesystem::create_directories(folder_ / "empty");
  expect("empty", "is not a PEFT folder");
  EXPECT_NE(
      sentence_of([] { open_lora(model(kModel), "m", (kModels / kModel).string(), kMost); }).find("is a whole model"),
      std::string::npos);
  write("good", lora_of_decoder(1));
  EXPECT_NE(sentence_of([&] {
              models::open_lora_over(shared_.model(), "g", folder_ / "good", 1000);
            }).find("1000 may be used"),
            std::string::npos);
  const Session with = alone("good");
  EXPECT_NE(sentence_of([&] { open_lora(with, "g", (folder_ / "good").string(), kMost); }).find("has LoRA already"),
            std::string::npos);
}

}  // namespace
}  // namespace lithe::session
