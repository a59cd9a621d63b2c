// METER by the program: run, batch, inspect, convert, tune.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/json.h"
#include "cli/program.h"
#include "io/checkpoint.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

const std::string kPictures = LITHE_SOURCE_DIR "/models/images/";

/// The golden checkpoint with the tests' tokenizer beside it.
class MeterProgram : public ::testing::Test {
 protected:
  MeterProgram() : folder_(scratch() / "meter") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    const fs::path data = LITHE_TEST_DATA;
    fs::copy_file(data / "golden/meter_eas/checkpoint/meter_eas.ckpt", folder_ / "meter.ckpt");
    fs::copy_file(data / "meter/tokenizer.json", folder_ / "tokenizer.json");
  }

  std::string model() const { return (folder_ / "meter.ckpt").string(); }

  const fs::path folder_;
};

TEST_F(MeterProgram, RunPrintsTheBestLabels) {
  const Ran ran = lithe({"run", model(), "--image", kPictures + "901.png", "what is it?"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  std::istringstream lines(ran.out);
  int count = 0;
  for (double score = 2, next = 0; lines >> next; score = next, ++count) {
    int label = -1;
    lines >> label;
    EXPECT_LE(next, score);
    EXPECT_TRUE(label >= 0 && label < 31);
  }
  EXPECT_EQ(count, 5);
  const Json json =
      parse_json(lithe({"run", model(), "--json", "--image", kPictures + "901.png", "what is it?"}).out, "run");
  EXPECT_EQ(json.at("head"), "vqa");
  EXPECT_EQ(json.at("family"), "meter");
  EXPECT_EQ(json.at("labels").size(), 5U);
}

TEST_F(MeterProgram, HeadsReadTheirPictures) {
  const auto head = [&](const std::string& name, size_t pictures) {
    std::vector<std::string> words{"run", model(), "--head", name, "--json"};
    for (const char* file : {"901.png", "506.png", "112.png"})
      if (pictures-- > 0)
        words.insert(words.end(), {"--image", kPictures + file});
      else
        break;
    words.emplace_back("is it a house?");
    return lithe(words);
  };
  EXPECT_EQ(parse_json(head("nlvr2", 2).out, "run").at("labels").size(), 2U);
  EXPECT_EQ(parse_json(head("rank", 3).out, "run").at("labels").size(), 3U);
  EXPECT_EQ(head("nlvr2", 1).code, 2);
  EXPECT_EQ(head("caption", 1).code, 2);
  EXPECT_EQ(lithe({"run", model(), "--temp", "1", "--image", kPictures + "901.png", "a"}).code, 2);
  EXPECT_EQ(lithe({"run", "demo", "--head", "vqa", "a"}).code, 2);
}

TEST_F(MeterProgram, BatchScoresEveryLineAndGoesOn) {
  const fs::path in = folder_ / "in.jsonl", out = folder_ / "out.jsonl";
  std::ofstream(in) << Json{{"id", 1}, {"image", kPictures + "901.png"}, {"prompt", "what is it?"}}.dump() << "\n"
                    << Json{{"id", 2}, {"image", kPictures + "none.png"}, {"prompt", "what is it?"}}.dump() << "\n"
                    << Json{{"id", 3}, {"image", kPictures + "506.png"}, {"prompt", "is it?"}, {"plan", "dense"}}.dump()
                    << "\n";
  const Ran first = lithe({"batch", model(), in.string(), "-o", out.string(), "--json"});
  ASSERT_EQ(first.code, 0) << first.err;
  const Json summary = parse_json(first.out, "batch");
  EXPECT_EQ(summary.at("answered"), 2);
  EXPECT_EQ(summary.at("failed"), 1);
  const Json again = parse_json(lithe({"batch", model(), in.string(), "-o", out.string(), "--json"}).out, "batch");
  EXPECT_EQ(again.at("answered"), 0);
  EXPECT_EQ(again.at("skipped"), 2);
  std::ifstream lines(out);
  Json answer;
  for (std::string line; std::getline(lines, line);)
    if (const Json one = parse_json(line, "line"); one.at("id") == 1) answer = one;
  EXPECT_EQ(answer.at("answer"), answer.at("labels").at(0).at("label"));
  const Json alone =
      parse_json(lithe({"run", model(), "--json", "--image", kPictures + "901.png", "what is it?"}).out, "run");
  EXPECT_EQ(answer.at("answer"), alone.at("labels").at(0).at("label"));
}

TEST_F(MeterProgram, InspectCountsPartsUnderAPlan) {
  const Json shape = parse_json(lithe({"inspect", "--shape", "meter", "--json"}).out, "inspect");
  const Json& total = shape.at("parts").back();
  EXPECT_EQ(total.at("part"), "total");
  EXPECT_LT(total.at("flops").get<double>(), total.at("dense_flops").get<double>());
  EXPECT_LT(total.at("parameters").get<int64_t>(), total.at("dense_parameters").get<int64_t>());
  const Json dense = parse_json(lithe({"inspect", "--shape", "meter", "--plan", "dense", "--json"}).out, "inspect");
  EXPECT_EQ(dense.at("parts").back().at("dense_flops"), total.at("dense_flops"));
  const Ran model_table = lithe({"inspect", model()});
  EXPECT_EQ(model_table.code, 0) << model_table.err;
  EXPECT_NE(model_table.out.find("RepAdapters"), std::string::npos);
}

TEST_F(MeterProgram, AConvertedCheckpointAnswersTheSame) {
  const fs::path out = folder_ / "converted";
  const Ran converted = lithe({"convert", model(), "-o", out.string()});
  ASSERT_EQ(converted.code, 0) << converted.err;
  const auto answer = [](const std::string& from) {
    return parse_json(lithe({"run", from, "--json", "--image", kPictures + "901.png", "what is it?"}).out, "run")
        .at("labels");
  };
  EXPECT_EQ(answer(model()), answer(out.string()));
}

TEST_F(MeterProgram, FoldedItScoresTheSameUnderEveryPlan) {
  const fs::path out = folder_ / "folded";
  const Ran rounded = lithe({"fold", model(), "-o", out.string(), "--weights", "int8"});
  EXPECT_EQ(rounded.code, 2);
  EXPECT_NE(rounded.err.find("fold would write the rounding"), std::string::npos) << rounded.err;
  const Ran folded = lithe({"fold", model(), "-o", out.string(), "--json"});
  ASSERT_EQ(folded.code, 0) << folded.err;
  const Json report = parse_json(folded.out, "fold");
  EXPECT_EQ(report.at("folded").at("adapters"), 6 * 2 * 3);  // a RepAdapter at each site
  EXPECT_LT(report.at("largest_deviation").get<double>(), 1e-5);
  EXPECT_LT(report.at("weight_bytes"), report.at("weight_bytes_before"));
  for (const std::string& name : io::Checkpoint::open(out).names())
    EXPECT_EQ(name.find(".adapter."), name.npos) << name;
  const std::string some_off =
      R"({"format": "lithe-plan/1", "name": "some", "layers": [{"site": {"stream": "text", "layer": 1}, "attention": "off"},
          {"site": {"stream": "image", "layer": 4}, "attention": {"cross": "off"}}]})";
  for (const std::string& plan : {std::string("dense"), some_off}) {
    const auto labels = [&](const std::string& from) {
      const Ran ran = lithe({"run", from, "--json", "--plan", plan, "--image", kPictures + "901.png", "what is it?"});
      EXPECT_EQ(ran.code, 0) << ran.err;
      return parse_json(ran.out, "run").at("labels");
    };
    const Json before = labels(model()), after = labels(out.string());
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(after.at(i).at("label"), before.at(i).at("label"));
      EXPECT_NEAR(after.at(i).at("score").get<double>(), before.at(i).at("score").get<double>(), 1e-5);
    }
  }
  EXPECT_EQ(lithe({"fold", out.string(), "-o", (folder_ / "again").string()}).code, 2);
  EXPECT_EQ(lithe({"fold", model(), "--freeze", "-o", (folder_ / "frozen").string()}).code, 2);
}

TEST_F(MeterProgram, EvalRunsTheTasksThatAHeadIsFor) {
  const std::string data = LITHE_TEST_DATA "/tasks/";
  for (const auto& [task, split] : {std::pair("snli_ve", "test"), std::pair("vqav2", "val"), std::pair("nlvr2", "dev"),
                                    std::pair("flickr30k", "test")}) {
    const std::string out = (folder_ / task).string();
    const std::vector<std::string> call{"eval",    model(), "--task", task, "--data", data + task + "_arrow",
                                        "--split", split,   "-o",     out,  "--json"};
    const Ran ran = lithe(call);
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json result = parse_json(ran.out, "eval");
    EXPECT_TRUE(result.at("finished").get<bool>()) << task;
    EXPECT_EQ(result.at("scores").size(), std::string(task) == "flickr30k" ? 6U : 1U) << task;
    EXPECT_EQ(parse_json(lithe(call).out, "eval"), result) << task;  // nothing is left to do
  }
  // Labels without names mean nothing beside the answers of people.
  const Ran numbers =
      lithe({"eval", model(), "--task", "vqav2", "--data", data + "vqav2", "-o", (folder_ / "v").string()});
  EXPECT_EQ(numbers.code, 3);
  EXPECT_NE(contents(folder_ / "v/samples.jsonl").find("id2label"), std::string::npos);
  const auto refused = [&](std::vector<std::string> more, const std::string& words) {
    more.insert(more.begin(), {"eval", model(), "-o", (folder_ / "refused").string()});
    const Ran ran = lithe(more);
    EXPECT_EQ(ran.code, 2);
    EXPECT_NE(ran.err.find(words), std::string::npos) << ran.err;
  };
  refused({"--task", "aid", "--data", data + "aid"}, "has no head for the task");
  refused({"--task", "nlvr2", "--split", "dev", "--data", data + "nlvr2", "--temp", "1"}, "sampling");
}

TEST_F(MeterProgram, OtherCommandsSayWhatItIs) {
  const Ran trace = lithe({"trace", model(), "--prompt", "a", "-o", (folder_ / "t.safetensors").string()});
  EXPECT_EQ(trace.code, 2);
  EXPECT_NE(trace.err.find("is a METER model"), std::string::npos) << trace.err;
}

TEST_F(MeterProgram, TuneTrainsAHead) {
  const fs::path data = folder_ / "data.json", recipe = folder_ / "recipe.yaml", out = folder_ / "tuned";
  Json records = Json::array();
  for (const char* file : {"901.png", "506.png"})
    records.push_back(
        {{"image", file},
         {"conversations",
          {{{"from", "human"}, {"value", "<image>\nwhat is it?"}}, {{"from", "gpt"}, {"value", "neutral"}}}}});
  std::ofstream(data) << records.dump();
  std::ofstream(recipe) << "model_name_or_path: " << model() << "\noutput_dir: " << out.string()
                        << "\nhead: snli\nmax_steps: 2\nper_device_train_batch_size: 2\ndata: {path: " << data.string()
                        << ", images: " << kPictures << "}\n";
  const Ran tuned = lithe({"tune", recipe.string()});
  ASSERT_EQ(tuned.code, 0) << tuned.err;
  const Ran ran = lithe({"run", out.string(), "--head", "snli", "--image", kPictures + "901.png", "what is it?"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("neutral"), std::string::npos);
}

}  // namespace
}  // namespace lithe::cli
