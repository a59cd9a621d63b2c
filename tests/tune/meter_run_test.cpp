// METER is trained: what learns, what it leaves, that it goes on after a stop, and that a search finds attentions.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "checkpoints/read/meter.h"
#include "checkpoints/write/converting.h"
#include "io/checkpoint.h"
#include "plan/meter_sites.h"
#include "sentence_of.h"
#include "tune/meter_case.h"
#include "tune/meter_ready.h"
#include "tune/meter_trainer.h"
#include "tune/recipe_data.h"
#include "tune/run.h"
#include "tune/step_log.h"
#include "tune/support.h"
#include "tune/training_state.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using MeterRunTest = test::MeterCase;

TEST_F(MeterRunTest, LearnsWhatIsAsked) {
  ask("snli", "entailment", "contradiction");
  recipe_.max_steps = 30;
  const RunResult result = run(recipe_);
  EXPECT_EQ(result.steps, 30);
  const std::vector<double> learnt = losses();
  EXPECT_LT(learnt.back(), 0.1);
  EXPECT_GT(learnt.front(), 3 * learnt.back());
  EXPECT_TRUE(models::is_meter(recipe_.output_dir));
  EXPECT_TRUE(fs::exists(fs::path(recipe_.output_dir) / "tokenizer.json"));
}

TEST_F(MeterRunTest, EveryHeadLearns) {
  const std::vector<std::tuple<const char*, const char*, const char*, int64_t>> heads{
      {"nlvr2", "true", "false", 2},
      {"snli", "neutral", "entailment", 1},
      {"itm", "yes", "yes", 1},
      {"irtr", "yes", "yes", 1},
      {"mlm", "yes", "yes", 1}};
  for (const auto& [head, first, second, pictures] : heads) {
    ask(head, first, second, pictures);
    recipe_.output_dir = (temp_ / head).string();
    recipe_.max_steps = 2;
    run(recipe_);
    const std::vector<double> steps = losses();
    ASSERT_EQ(steps.size(), 2U) << head;
    EXPECT_TRUE(std::isfinite(steps[1])) << head;
    const std::unique_ptr<models::Meter> tuned = models::open_meter(recipe_.output_dir);
    EXPECT_EQ(tuned->heads.rank.has_value(), std::string(head) == "irtr");
    EXPECT_EQ(tuned->streams.token_types.out(), std::string(head) == "nlvr2" ? 3 : 2);
  }
}

TEST_F(MeterRunTest, BenchmarksAreDataOfTheirHeads) {
  struct Benchmark {
    const char *head, *task, *folder, *split;
  };
  for (const auto& [head, task, folder, split] : {Benchmark{"nlvr2", "nlvr2", "nlvr2", "dev"},
                                                  {"snli", "snli_ve", "snli_ve", "test"},
                                                  {"irtr", "flickr30k", "flickr30k", "test"}}) {
    recipe_.head = head;
    recipe_.data = {{.path = std::string(LITHE_TEST_DATA "/tasks/") + folder, .task = task, .split = split}};
    recipe_.eval_data = recipe_.data;
    recipe_.output_dir = (temp_ / head).string();
    recipe_.max_steps = 2;
    const RunResult result = run(recipe_);
    const std::vector<double> steps = losses();
    ASSERT_EQ(steps.size(), 2U) << head;
    EXPECT_TRUE(std::isfinite(steps[1])) << head;
    EXPECT_TRUE(result.last_evaluation && std::isfinite(result.last_evaluation->loss)) << head;
  }
}

TEST_F(MeterRunTest, HiddenTokensAreLearnt) {
  ask("mlm", "yes", "yes");
  recipe_.eval_data = recipe_.data;
  recipe_.eval_steps = 20;
  recipe_.max_steps = 60;
  std::vector<double> held_out;
  run(recipe_, {.on_evaluation = [&](const Evaluation& evaluation) { held_out.push_back(evaluation.loss); }});
  ASSERT_EQ(held_out.size(), 3U);
  EXPECT_LT(held_out.back(), 0.7 * losses().front());
  EXPECT_LT(held_out.back(), held_out.front());
  const std::vector<std::string> names = changed();
  const auto count = [&](const char* part) {
    return std::count_if(names.begin(), names.end(), [&](const auto& name) { return name.find(part) != name.npos; });
  };
  EXPECT_GT(count("mlm_score"), 0);
  EXPECT_EQ(count("itm_score") + count("snli_classifier"), 0);
}

TEST_F(MeterRunTest, TheStreamOfSamplesAndTheStepsGoOnAfterAStop) {
  ask("snli", "entailment", "contradiction");
  recipe_.max_steps = 5;
  run(recipe_);
  const std::vector<double> whole = losses();
  recipe_.output_dir = (temp_ / "parts").string();
  test::run_until(recipe_, 2);
  recipe_.resume_from_checkpoint = "";
  const RunResult result = run(recipe_);
  EXPECT_FALSE(result.stopped);
  EXPECT_EQ(losses(), whole);
}

TEST_F(MeterRunTest, WithEasOnlyAdaptersAndWhatIsPublishedLearn) {
  ask("snli", "entailment", "contradiction");
  recipe_.eas.emplace();
  recipe_.eas->skip_layers = {1, 8, 12, 20};
  recipe_.eas->rep_dim = 4;
  recipe_.eas->pia_dim = 6;
  recipe_.max_steps = 2;
  run(recipe_);
  for (const std::string& name : changed()) {
    const auto has = [&](const char* part) { return name.find(part) != name.npos; };
    EXPECT_TRUE(has("adapter") || has("pooler") || has("snli_classifier") || has("token_type_embeddings") ||
                has("token4classifier"))
        << name;
    EXPECT_FALSE(has("text_transformer") || has("vit_model")) << name;
  }
  const std::unique_ptr<models::Meter> tuned = models::open_meter(recipe_.output_dir);
  EXPECT_EQ(plan::meter_sites_off(tuned->plan, 6), (std::vector<int64_t>{1, 8, 12, 20}));
  EXPECT_FALSE(tuned->config.pads);
  EXPECT_EQ(tuned->streams.config.layer.rep->rank, 4);
  EXPECT_EQ(tuned->streams.config.layer.pia->rank, 6);
}

TEST_F(MeterRunTest, NewAdaptersBeginAsMeterButForTheClassToken) {
  const at::NoGradGuard no_gradient;
  const auto meter = models::open_meter(temp_ / "meter.ckpt");
  const std::vector<models::TextIds> texts{{{0, 9, 12, 2}}};
  const models::Pair pair;
  const at::Tensor pixels = at::randn({1, 3, 32, 32});
  const auto pooled = [&] { return meter->fuse(meter->read(texts), meter->look(pixels), {&pair, 1}).pooled; };
  const at::Tensor before = pooled();
  models::add_meter_adapters(*meter, {.rep_rank = 4, .pia_rank = 6});
  const at::Tensor row = *meter->streams.class_token;
  meter->streams.class_token.reset();
  EXPECT_TRUE(pooled().equal(before));
  meter->streams.class_token = row;
  EXPECT_FALSE(pooled().equal(before));
}

TEST_F(MeterRunTest, ASearchFindsAttentionsOfBothStreams) {
  ask("snli", "entailment", "contradiction");
  recipe_.eas.emplace();
  recipe_.eas->skip_count = 5;
  recipe_.eas->rep_dim = recipe_.eas->pia_dim = 4;
  recipe_.eas->search.steps = 6;
  recipe_.eas->search.every_steps = 2;
  recipe_.eas->search.warmup_steps = 2;
  recipe_.eas->search.held_out = 1;
  recipe_.per_device_train_batch_size = 2;
  recipe_.max_steps = 2;
  int64_t reports = 0;
  run(recipe_, {.on_search = [&](const SearchReport& report) { reports += report.ranking.size() == 24 ? 1 : 0; }});
  EXPECT_EQ(reports, 6);
  const fs::path folder = fs::path(recipe_.output_dir) / "search";
  const Json scores = read_json_file(folder / "scores.json");
  const auto skipped = scores.at("skipped_layers").get<std::vector<int64_t>>();
  EXPECT_EQ(skipped.size(), 5U);
  EXPECT_EQ(scores.at("ranking").size(), 24U);
  const auto tuned = models::open_meter(recipe_.output_dir);
  EXPECT_EQ(plan::meter_sites_off(tuned->plan, 6), skipped);
}

TEST_F(MeterRunTest, ASearchGoesOnToTheSameScores) {
  ask("snli", "entailment", "contradiction");
  recipe_.eas.emplace();
  recipe_.eas->skip_count = 5;
  recipe_.eas->rep_dim = recipe_.eas->pia_dim = 4;
  recipe_.eas->dropout = 0.2;
  recipe_.eas->search.steps = 6;
  recipe_.eas->search.every_steps = 1;
  recipe_.eas->search.warmup_steps = 2;
  recipe_.eval_data = recipe_.data;
  recipe_.eas->search.held_out = 3;  // of eight, so that comparisons meet different ones
  recipe_.max_steps = 2;
  const auto found = [&] { return read_json_file(fs::path(recipe_.output_dir) / "search/scores.json"); };
  run(recipe_);
  const Json whole = found();
  const std::vector<double> tuned = losses();

  recipe_.output_dir = (temp_ / "parts").string();
  std::stop_source stop;
  RunOptions options{.stop = stop.get_token()};
  options.on_search = [&](const SearchReport& report) {
    if (report.step == 4) stop.request_stop();
  };
  const RunResult first = run(recipe_, options);
  EXPECT_TRUE(first.stopped && first.searching);
  EXPECT_THROW(run(recipe_), Error);  // there is a checkpoint, and nobody said to go on
  recipe_.resume_from_checkpoint = "";
  int64_t searched = 0;
  EXPECT_EQ(run(recipe_, {.on_search = [&](const SearchReport&) { ++searched; }}).steps, 2);
  EXPECT_EQ(searched, 2);
  EXPECT_EQ(found(), whole);
  EXPECT_EQ(losses(), tuned);
}

TEST_F(MeterRunTest, ARecordThatCannotBeUsedIsLeftOutIfItMayBe) {
  ask("snli", "entailment", "perhaps");  // of the second picture
  recipe_.max_steps = 2;
  recipe_.skip_bad_samples = 3;
  EXPECT_THROW(run(recipe_), Error);
  recipe_.output_dir = (temp_ / "skipping").string();
  recipe_.skip_bad_samples = 8;
  std::vector<std::string> notes;
  const RunResult result = run(recipe_, {.on_note = [&](const std::string& sentence) { notes.push_back(sentence); }});
  EXPECT_EQ(result.steps, 2);
  EXPECT_EQ(notes.size(), 4U);
  for (const std::string& note : notes) EXPECT_NE(note.find("perhaps"), std::string::npos) << note;
}

TEST_F(MeterRunTest, ADryRunReadsEverySampleAndWritesNothing) {
  ask("nlvr2", "true", "perhaps", 2);
  recipe_.eas.emplace();
  recipe_.eas->skip_count = 5;
  recipe_.eas->rep_dim = recipe_.eas->pia_dim = 4;
  recipe_.eas->search.every_steps = 2;
  recipe_.max_steps = 7;
  std::optional<RunEstimate> told;
  run(recipe_, {.on_begin = [&](const RunEstimate& estimate) { told = estimate; }, .dry_run = true});
  ASSERT_TRUE(told);
  EXPECT_EQ(told->samples, 4);
  EXPECT_EQ(told->bad_samples, 4);
  EXPECT_EQ(told->steps, 7);
  EXPECT_EQ(told->search_steps, 7);
  EXPECT_GT(told->mean_sample, 2 * 17);  // twice the patches of a picture, its class token, and the text
  EXPECT_GE(told->longest_sample, told->mean_sample);
  EXPECT_GT(told->activation_bytes, 0);
  EXPECT_GT(told->parts.front().parameters, told->parts.front().learn);
  EXPECT_FALSE(fs::exists(recipe_.output_dir));
}

TEST_F(MeterRunTest, ALossOrGradientThatIsNotFiniteNamesTheSamples) {
  ask("snli", "entailment", "contradiction");
  recipe_.max_steps = 3;
  recipe_.learning_rate = 1e38;
  try {
    run(recipe_);
    FAIL() << "no error";
  } catch (const Error& error) {
    const std::string said = error.what();
    EXPECT_NE(said.find("is not finite at "), std::string::npos) << said;
    EXPECT_NE(said.find("data.jsonl, record "), std::string::npos) << said;
  }
}

TEST_F(MeterRunTest, APatternThatFitsNoWeightIsRefused) {
  ask("snli", "entailment", "contradiction");
  recipe_.max_steps = 1;
  recipe_.train = std::vector<std::string>{"cross_modal_text_layers.*", "cross_modal_text_layer.*"};
  const std::string said = lithe::test::sentence_of([&] { run(recipe_); });
  EXPECT_NE(said.find("train has \"cross_modal_text_layer.*\", which fits no weight"), std::string::npos) << said;
  recipe_.train = std::vector<std::string>{"cross_modal_text_layers.*", "!snli_classifier.*"};
  EXPECT_EQ(run(recipe_).steps, 1);
}

TEST_F(MeterRunTest, ARecordOfSeveralTurnsIsRefused) {
  ask("snli", "entailment", "contradiction");
  recipe_.max_steps = 1;
  Json turns = Json::array();
  for (int i = 0; i < 2; ++i) {
    turns.push_back({{"from", "human"}, {"value", "is it red?"}});
    turns.push_back({{"from", "gpt"}, {"value", "neutral"}});
  }
  std::ofstream(temp_ / "data.jsonl") << Json{{"images", {"901.png"}}, {"conversations", turns}}.dump() << "\n";
  const std::string said = lithe::test::sentence_of([&] { run(recipe_); });
  EXPECT_NE(said.find("has 2 questions and 2 answers"), std::string::npos) << said;
}

TEST_F(MeterRunTest, TheBestCheckpointStays) {
  ask("snli", "contradiction", "entailment");
  fs::rename(temp_ / "data.jsonl", temp_ / "opposite.jsonl");
  recipe_.eval_data = recipe_.data;
  recipe_.eval_data.front().path = (temp_ / "opposite.jsonl").string();
  ask("snli", "entailment", "contradiction");  // so that it gets worse on the opposite while it learns
  recipe_.metric_for_best_model = "loss";
  recipe_.save_steps = 1;
  recipe_.save_total_limit = 1;
  recipe_.max_steps = 4;
  run(recipe_);
  std::vector<double> scores;
  for (const StepRecord& record : read_step_log(fs::path(recipe_.output_dir) / "log.jsonl"))
    scores.push_back(record.more.at("eval_loss"));
  const auto best = std::min_element(scores.begin(), scores.end()) - scores.begin() + 1;
  EXPECT_LT(best, recipe_.max_steps) << "the newest checkpoint stays anyway";
  EXPECT_TRUE(fs::exists(fs::path(recipe_.output_dir) / ("checkpoint-" + std::to_string(best))));
  EXPECT_LE(checkpoints_in(recipe_.output_dir).size(), 2U);
}

TEST_F(MeterRunTest, AnswersThatTheHeadDoesNotKnowAreCounted) {
  // A folder that names the head's 31 answers.
  models::convert_meter(temp_ / "meter.ckpt", temp_ / "meter");
  Json config = read_json_file(temp_ / "meter/config.json");
  for (int i = 0; i < 31; ++i) config["id2label"][std::to_string(i)] = i == 3 ? "yes" : "answer " + std::to_string(i);
  std::ofstream(temp_ / "meter/config.json") << config.dump();
  recipe_.model_name_or_path = (temp_ / "meter").string();
  ask("vqa", "yes", "perhaps");
  std::vector<std::string> notes;
  const RunOptions options{.on_note = [&](const std::string& note) { notes.push_back(note); }, .dry_run = true};
  run(recipe_, options);
  ASSERT_FALSE(notes.empty());
  EXPECT_NE(notes.back().find(" samples had no answer that the head vqa knows"), std::string::npos) << notes.back();
  ask("vqa", "maybe", "perhaps");
  const std::string all = lithe::test::sentence_of([&] { run(recipe_, options); });
  EXPECT_NE(all.find("none of the 8 records"), std::string::npos) << all;
}

/// VQAv2's official files with so many questions of each answer, which is what all people say.
void write_official(const fs::path& folder, const std::vector<std::pair<std::string, int>>& answers) {
  fs::create_directories(folder / "train2014");
  fs::copy_file(LITHE_TEST_DATA "/tasks/vqav2/val2014/COCO_val2014_000000000042.jpg",
                folder / "train2014/COCO_train2014_000000000042.jpg");
  Json questions = Json::array(), annotations = Json::array();
  int id = 0;
  for (const auto& [answer, count] : answers) {
    for (int i = 0; i < count; ++i, ++id) {
      questions.push_back({{"question_id", id}, {"image_id", 42}, {"question", "is it red?"}});
      annotations.push_back({{"question_id", id}, {"multiple_choice_answer", answer}, {"answers", {answer, answer}}});
    }
  }
  std::ofstream(folder / "v2_OpenEnded_mscoco_train2014_questions.json") << Json{{"questions", questions}};
  std::ofstream(folder / "v2_mscoco_train2014_annotations.json") << Json{{"annotations", annotations}};
}

TEST_F(MeterRunTest, FrequentAnswersOfTheOfficialFilesAreTheClassesOfANewHead) {
  const fs::path headless = temp_ / "headless", file = headless / "model.safetensors";
  models::convert_meter(temp_ / "meter.ckpt", headless);
  auto tensors = io::open_safetensors(file).tensors;
  std::erase_if(tensors, [](const auto& entry) { return entry.first.starts_with("vqa_classifier"); });
  fs::remove(file);
  io::write_safetensors(file, {tensors.begin(), tensors.end()});
  write_official(temp_ / "vqa", {{"no", 10}, {"rare", 8}, {"yes", 9}});
  recipe_.model_name_or_path = headless.string();
  recipe_.head = "vqa";
  recipe_.data = {{.path = (temp_ / "vqa").string(), .task = "vqav2", .split = "train"}};
  recipe_.max_steps = 2;
  std::vector<std::string> notes;
  run(recipe_, {.on_note = [&](const std::string& note) { notes.push_back(note); }});
  EXPECT_EQ(notes, std::vector<std::string>{"the new head vqa has 2 classes"});
  const auto tuned = models::open_meter(recipe_.output_dir);
  EXPECT_EQ(tuned->config.answers, (std::vector<std::string>{"no", "yes"}));
}

// A published head only numbers its answers; the data name them if they are as many.
TEST_F(MeterRunTest, AHeadWithoutNamesGetsThoseOfTheData) {
  std::vector<std::pair<std::string, int>> answers;
  for (int i = 0; i < 31; ++i) answers.emplace_back("word" + std::to_string(i), 9);
  write_official(temp_ / "vqa", answers);
  recipe_.head = "vqa";
  recipe_.data = {{.path = (temp_ / "vqa").string(), .task = "vqav2", .split = "train"}};
  recipe_.max_steps = 1;
  run(recipe_);
  const auto tuned = models::open_meter(recipe_.output_dir);
  ASSERT_EQ(tuned->config.answers.size(), 31U);
  EXPECT_EQ(tuned->config.answers[30], "word30");
}

/// Counts how many records are read.
class CountedSet final : public data::DataSet {
 public:
  explicit CountedSet(std::unique_ptr<data::DataSet> set) : set_(std::move(set)) {}
  int64_t size() const override { return set_->size(); }
  data::Record read(int64_t i) const override {
    ++reads;
    return set_->read(i);
  }
  data::Record read_turns(int64_t i) const override {
    ++turns;
    return set_->read_turns(i);
  }
  mutable int64_t reads = 0, turns = 0;

 private:
  std::unique_ptr<data::DataSet> set_;
};

// Before the first step, records are read up to one whose answer the head knows.
TEST_F(MeterRunTest, ReadinessDoesNotReadEveryRecord) {
  models::convert_meter(temp_ / "meter.ckpt", temp_ / "meter");
  Json config = read_json_file(temp_ / "meter/config.json");
  for (int i = 0; i < 31; ++i) config["id2label"][std::to_string(i)] = i == 3 ? "yes" : "answer " + std::to_string(i);
  std::ofstream(temp_ / "meter/config.json") << config.dump();
  recipe_.model_name_or_path = (temp_ / "meter").string();
  ask("vqa", "perhaps", "yes");
  auto counted = std::make_unique<CountedSet>(open_set(recipe_.data.front(), "meter", {}));
  const CountedSet& set = *counted;
  std::vector<WeightedSet> sets;
  sets.push_back({std::move(counted), 1});
  EXPECT_TRUE(ready_meter(recipe_, sets).notes.empty());
  EXPECT_EQ(set.turns, 2);
  EXPECT_EQ(set.reads, 0) << "no picture is opened";
}

TEST_F(MeterRunTest, KeysThatMeterDoesNotReadAreRefused) {
  ask("snli", "entailment", "contradiction");
  recipe_.eas.emplace();
  recipe_.eas->tower = true;
  EXPECT_NE(lithe::test::sentence_of([&] { run(recipe_); }).find("METER does not take eas.tower"), std::string::npos);
  recipe_.eas->tower = false;
  recipe_.eas->temperature = 5;
  EXPECT_NE(lithe::test::sentence_of([&] { run(recipe_); }).find("eas.temperature"), std::string::npos);
  recipe_.eas->temperature = 10;
  recipe_.eas->skip_count = 99;
  recipe_.eas->search.steps = 20;
  EXPECT_NE(lithe::test::sentence_of([&] { run(recipe_, {.dry_run = true}); }).find("99 of 24"), std::string::npos);
}

TEST_F(MeterRunTest, SoftAnswersHaveScores) {
  ask("vqa", R"({"yes": 1, "no": 0.3})", "no");
  const auto message = [&]() -> std::string {
    try {
      run(recipe_);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  recipe_.max_steps = 2;
  EXPECT_NE(message().find("does not name the answers of its head vqa"), std::string::npos)
      << "the checkpoint has a head of 31 answers";
  recipe_.head = "mppd";
  EXPECT_NE(message().find("no head"), std::string::npos);
  const std::map<std::string, double> soft{{"no", 0.3}, {"yes", 1}};
  const data::Record record{
      .name = "a", .turns = {{"user", "is it?"}, {"assistant", R"({"yes": 1, "no": 0.3})"}}, .images = {}};
  EXPECT_EQ(answers_of(record), soft);
}

}  // namespace
}  // namespace lithe::tune
