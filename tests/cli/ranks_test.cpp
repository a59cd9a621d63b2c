// Several processes that tune one model on this machine, started as a launcher starts them.
#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"
#include "cli/program.h"
#include "tune/step_log.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGolden = LITHE_TEST_DATA "/golden/";

/// A recipe over three samples, two of them with a picture.
struct Recipe {
  std::string name;
  int64_t batch = 1, accumulation = 1, steps = 10;
  std::string more;
  std::string output;  // `name`, if it is not given
  std::string data = std::string(kGolden) + "pmod_train/inputs/data.json";
  std::string model = std::string(kGolden) + "liuhaotian_llava15/checkpoint\ntemplate: vicuna_v1";
};

class RanksTest : public ::testing::Test {
 protected:
  RanksTest() : folder_(scratch() / ::testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::create_directories(folder_);
  }

  void write(const Recipe& recipe) const {
    std::ofstream(folder_ / (recipe.name + ".yaml"))
        << "model_name_or_path: " << recipe.model
        << "\noutput_dir: " << (recipe.output.empty() ? recipe.name : recipe.output) << "\ndata: " << recipe.data
        << "\nper_device_train_batch_size: " << recipe.batch << "\ngradient_accumulation_steps: " << recipe.accumulation
        << "\nmax_steps: " << recipe.steps << "\nlearning_rate: 1e-3\nlr_scheduler_type: constant\nsave_steps: 4\n"
        << recipe.more;
  }

  /// Starts `ranks` processes, runs `meanwhile`, and waits for them. Process R writes out.R and err.R; its id is in
  /// $pR. None may live for a minute after `meanwhile`.
  Ran start(int64_t ranks, const Recipe& recipe, const std::string& meanwhile = "") const {
    write(recipe);
    std::string line, all;
    for (int64_t rank = 0; rank < ranks; ++rank) {
      const std::string r = std::to_string(rank);
      line += "RANK=" + r + " WORLD_SIZE=" + std::to_string(ranks) + " lithe tune " + recipe.name +
              ".yaml --threads 1 >out." + r + " 2>err." + r + " & p" + r + "=$!; ";
      all += "$p" + r + " ";
    }
    if (!meanwhile.empty()) line += meanwhile + " (sleep 60; kill -9 " + all + ") >/dev/null 2>&1 & watch=$!; ";
    for (int64_t rank = 0; rank < ranks; ++rank) line += "wait $p" + std::to_string(rank) + "; echo $?; ";
    return shell(line + (meanwhile.empty() ? "" : "kill $watch"), folder_);
  }

  /// Shell that waits until the run has done some steps, for a minute at most.
  static std::string some_steps(const std::string& output) {
    return "for try in $(seq 600); do test -d " + output + "/checkpoint-4 && break; sleep 0.1; done;";
  }

  std::vector<tune::StepRecord> steps(const std::string& output) const {
    return tune::read_step_log(folder_ / output / "log.jsonl");
  }

  std::string said(const std::string& file) const { return contents(folder_ / file); }

  void expect_equal(const std::string& output, const std::string& other, double near = 1e-6) const {
    const std::vector<tune::StepRecord> a = steps(output), b = steps(other);
    ASSERT_EQ(a.size(), 10u) << said("err.0");
    ASSERT_EQ(b.size(), 10u) << said("err.0");
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_NEAR(a[i].loss, b[i].loss, near * a[i].loss) << output << ", step " << i + 1;
      EXPECT_NEAR(a[i].grad_norm, b[i].grad_norm, near * a[i].grad_norm) << output << ", step " << i + 1;
      EXPECT_EQ(a[i].more.at("labels"), b[i].more.at("labels"));
      EXPECT_EQ(a[i].more.value("kept_shares", Json()), b[i].more.value("kept_shares", Json()));
    }
  }

  void expect_same_search(const std::string& output, const std::string& other) const {
    const Json one = read_json_file(folder_ / output / "search/scores.json"),
               found = read_json_file(folder_ / other / "search/scores.json");
    EXPECT_EQ(found.at("skipped_layers"), one.at("skipped_layers")) << other;
    ASSERT_EQ(found.at("draws").size(), one.at("draws").size()) << other;
    for (size_t i = 0; i < one.at("draws").size(); ++i) {
      EXPECT_EQ(found.at("draws")[i].at("skips"), one.at("draws")[i].at("skips")) << other << ' ' << i;
      EXPECT_NEAR(found.at("draws")[i].at("loss").get<double>(), one.at("draws")[i].at("loss").get<double>(), 1e-5);
    }
  }

  fs::path folder_;
};

TEST_F(RanksTest, TwoAndThreeProcessesEqualOne) {
  const std::string methods =
      "p_mod: {}\nlora: {r: 4, lora_dropout: 0.1}\ntrain: [mm_projector]\nmm_projector_lr: 1e-4\nweight_decay: 0.1\n";
  EXPECT_EQ(start(1, {"one", 2, 3, 10, methods}).out, "0\n") << said("err.0");
  EXPECT_EQ(start(2, {"two", 1, 3, 10, methods}).out, "0\n0\n") << said("err.0");
  EXPECT_EQ(said("out.1"), "");  // the first one speaks for all
  EXPECT_EQ(said("err.1"), "");
  EXPECT_EQ(start(3, {"three", 1, 2, 10, methods}).out, "0\n0\n0\n") << said("err.0");
  expect_equal("one", "two");
  expect_equal("one", "three");
}

/// Weights so large that their gradients travel while the backward pass goes on, and blocks that run again in it.
TEST_F(RanksTest, AllWeightsOfALargerModelLearnAsInOneProcess) {
  const std::string more = "train: [\"*\"]\ngradient_checkpointing: true\nadam_epsilon: 0.1\n";
  const std::string model = std::string(LITHE_SOURCE_DIR "/models/easyvqa-dense");
  const auto recipe = [&](const std::string& name, int64_t batch, int64_t accumulation) {
    return Recipe{.name = name, .batch = batch, .accumulation = accumulation, .more = more, .model = model};
  };
  EXPECT_EQ(start(1, recipe("one", 2, 3)).out, "0\n") << said("err.0");
  EXPECT_EQ(start(2, recipe("two", 1, 3)).out, "0\n0\n") << said("err.0");
  EXPECT_EQ(start(3, recipe("three", 1, 2)).out, "0\n0\n0\n") << said("err.0");
  expect_equal("one", "two", 1e-4);  // ten steps of so many weights make rounding grow
  expect_equal("one", "three", 1e-4);
}

TEST_F(RanksTest, AnotherNumberOfProcessesGoesOnToTheSameLosses) {
  EXPECT_EQ(start(1, {"whole", 6}).out, "0\n") << said("err.0");
  EXPECT_EQ(start(3, {"first", 2, 1, 4, "", "parts"}).out, "0\n0\n0\n") << said("err.0");
  EXPECT_EQ(start(2, {"then", 3, 1, 8, "resume_from_checkpoint: true\n", "parts"}).out, "0\n0\n") << said("err.0");
  EXPECT_EQ(start(1, {"last", 3, 2, 10, "resume_from_checkpoint: true\n", "parts"}).out, "0\n") << said("err.0");
  EXPECT_EQ(said("err.0").find("samples a step"), std::string::npos) << said("err.0");  // as many as before
  expect_equal("whole", "parts");
}

/// All of them search and tune, with dropout, and find what one finds.
TEST_F(RanksTest, SeveralSearchTogether) {
  const std::string methods =
      "eas:\n  skip: 1\n  rep_dim: 4\n  pia_dim: 4\n  dropout: 0.1\n"
      "  search: {steps: 8, warmup_steps: 2, every_steps: 2, held_out: 3}\n"
      "eval_data: " +
      Recipe().data + "\n";
  EXPECT_EQ(start(1, {"one", 2, 3, 10, methods}).out, "0\n") << said("err.0");
  EXPECT_EQ(start(2, {"two", 1, 3, 10, methods}).out, "0\n0\n") << said("err.0") << said("err.1");
  EXPECT_EQ(said("out.1"), "");
  EXPECT_EQ(said("err.1"), "");
  EXPECT_EQ(start(3, {"three", 2, 1, 10, methods}).out, "0\n0\n0\n") << said("err.0");
  expect_equal("one", "two");
  expect_equal("one", "three");
  expect_same_search("one", "two");
  expect_same_search("one", "three");
}

TEST_F(RanksTest, SeveralSearchAndTuneMeter) {
  const fs::path data = LITHE_TEST_DATA;
  fs::copy_file(data / "golden/meter/checkpoint/meter.ckpt", folder_ / "meter.ckpt");
  fs::copy_file(data / "meter/tokenizer.json", folder_ / "tokenizer.json");
  std::ofstream records(folder_ / "data.jsonl");
  for (const char* text : {"what is it?", "is it red?", "how is the house", "a"}) {
    for (const auto& [picture, answer] : {std::pair("901.png", "entailment"), std::pair("506.png", "contradiction")}) {
      const Json turns = Json::array({{{"from", "human"}, {"value", text}}, {{"from", "gpt"}, {"value", answer}}});
      records << Json{{"images", {picture}}, {"conversations", turns}}.dump() << "\n";
    }
  }
  records.close();
  Recipe recipe{"one", 2, 3};
  recipe.model = "meter.ckpt";
  recipe.data = "{path: data.jsonl, images: " LITHE_SOURCE_DIR "/models/images}";
  recipe.more =
      "head: snli\neas:\n  skip: 5\n  rep_dim: 4\n  pia_dim: 4\n  dropout: 0.1\n"
      "  search: {steps: 6, warmup_steps: 2, every_steps: 2, held_out: 3, evaluate_with_dropout: true}\n"
      "eval_data: " +
      recipe.data + "\n";
  EXPECT_EQ(start(1, recipe).out, "0\n") << said("err.0");
  recipe.name = "two";
  recipe.batch = 1;
  EXPECT_EQ(start(2, recipe).out, "0\n0\n") << said("err.0") << said("err.1");
  EXPECT_EQ(said("out.1"), "");
  EXPECT_EQ(said("err.1"), "");
  expect_equal("one", "two");
  expect_same_search("one", "two");
}

TEST_F(RanksTest, AKilledProcessEndsTheOthersWithASentence) {
  const Ran ran = start(3, {"run", 2, 1, 1000000}, some_steps("run") + " kill -9 $p1;");
  EXPECT_EQ(ran.out, "1\n137\n1\n");
  for (const char* const file : {"err.0", "err.2"})
    EXPECT_NE(said(file).find("rank 1 ended"), std::string::npos) << said(file);
}

/// A rank that never comes: the others say soon for whom they wait, and end soon.
TEST_F(RanksTest, ARankThatNeverComesIsNamedByTheOthers) {
  write({"run", 2, 1, 10});
  const auto ranks = [&](const std::string& there) {
    std::string line = "export WORLD_SIZE=3 LITHE_MEETING_SECONDS=6; ";
    for (const char rank : there) {
      const std::string r(1, rank);
      line += "(RANK=" + r + " timeout 30 lithe tune run.yaml >out." + r + " 2>err." + r + "; echo $?) & ";
    }
    return shell(line + "wait", folder_);
  };
  EXPECT_EQ(ranks("02").out, "1\n1\n");
  EXPECT_NE(said("err.0").find("note: waiting for rank 1 to start"), std::string::npos) << said("err.0");
  EXPECT_NE(said("err.0").find("of 3 ranks, rank 1 did not come within 6 s"), std::string::npos) << said("err.0");
  EXPECT_NE(said("err.2").find("rank 1"), std::string::npos) << said("err.2");
  EXPECT_EQ(ranks("2").out, "1\n");
  EXPECT_NE(said("err.2").find("waiting for rank 0"), std::string::npos) << said("err.2");
  EXPECT_NE(said("err.2").find("rank 2 did not find rank 0"), std::string::npos) << said("err.2");
}

/// The first one holds what the others meet at.
TEST_F(RanksTest, TheFirstProcessCanBeKilledToo) {
  const Ran ran = start(2, {"run", 2, 1, 1000000}, some_steps("run") + " kill -9 $p0;");
  EXPECT_EQ(ran.out, "137\n1\n");
  EXPECT_NE(said("err.1").find("rank 0"), std::string::npos) << said("err.1");
  EXPECT_EQ(said("err.1").find('\n'), said("err.1").size() - 1) << said("err.1");  // one line
}

TEST_F(RanksTest, AnInterruptOfOneEndsAllWithACheckpoint) {
  const Ran ran = start(2, {"run", 2, 1, 1000000}, some_steps("run") + " kill -INT $p1;");
  EXPECT_EQ(ran.out, "130\n130\n");
  EXPECT_NE(said("out.0").find("stopped after step"), std::string::npos) << said("out.0");
  EXPECT_TRUE(fs::exists(folder_ / "run" / ("checkpoint-" + std::to_string(steps("run").back().step))));
}

TEST_F(RanksTest, ABadRecordOfOneIsToldByAll) {
  std::ofstream(folder_ / "data.json") << R"([
    {"id": "a", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
    {"id": "b", "conversations": [{"from": "human", "value": "Q"}]}])";
  Recipe recipe{"run", 1, 1, 2, "shuffle: false\n"};
  recipe.data = "data.json";
  EXPECT_EQ(start(2, recipe).out, "1\n2\n");
  EXPECT_NE(said("err.0").find("rank 1 ended: data.json, record 2"), std::string::npos) << said("err.0");
  // Left out, it leaves its place empty, so that the losses are those of one process.
  recipe.name = "lenient";
  recipe.more += "skip_bad_samples: 2\n";
  EXPECT_EQ(start(2, recipe).out, "0\n0\n") << said("err.0");
  recipe = {"one", 2, 1, 2, recipe.more, "", recipe.data};
  EXPECT_EQ(start(1, recipe).out, "0\n") << said("err.0");
  ASSERT_EQ(steps("lenient").size(), 2u);
  ASSERT_EQ(steps("one").size(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_NEAR(steps("lenient")[i].loss, steps("one")[i].loss, 1e-5);
}

TEST_F(RanksTest, AnEvaluationThatFailsIsToldByAllAndLosesNoStep) {
  fs::copy(fs::path(kGolden) / "pmod_train/inputs", folder_ / "inputs", fs::copy_options::recursive);
  const Recipe recipe{"run", 2, 1, 1000000, "eval_data: inputs/data.json\neval_steps: 1\n"};
  const Ran ran = start(2, recipe, some_steps("run") + " find inputs -type f ! -name data.json -delete;");
  EXPECT_EQ(ran.out, "3\n1\n") << said("err.0") << said("err.1");
  EXPECT_NE(said("err.1").find("rank 0 ended: "), std::string::npos) << said("err.1");
  EXPECT_TRUE(fs::exists(folder_ / "run" / ("checkpoint-" + std::to_string(steps("run").back().step))));
}

TEST_F(RanksTest, ProcessesThatStartUnlikeAreRefused) {
  write({"other", 2, 1, 2, "", "run"});
  write({"run", 1, 1, 2});
  const Ran ran = shell(
      "RANK=1 WORLD_SIZE=2 lithe tune other.yaml 2>err.1 & "
      "RANK=0 WORLD_SIZE=2 lithe tune run.yaml 2>err.0; echo $?; wait $!; echo $?",
      folder_);
  EXPECT_EQ(ran.out, "3\n3\n");
  EXPECT_NE(said("err.0").find("the ranks do not start alike"), std::string::npos) << said("err.0");
  EXPECT_FALSE(fs::exists(folder_ / "run/log.jsonl"));
}

}  // namespace
}  // namespace lithe::cli
