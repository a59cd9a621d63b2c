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

TEST_F(MeterProgram, IsAmongTheShapes) {
  const Ran wrong = lithe({"inspect", "--shape", "?"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("there are lavin-7b, llava-1.5-13b, llava-1.5-7b, llava-next-7b, meter."), std::string::npos)
      << wrong.err;
  EXPECT_NE(lithe({"inspect", "--shape", "mete"}).err.find("did you mean meter?"), std::string::npos);
  EXPECT_NE(lithe({"completion", "bash"}).out.find("llava-next-7b meter"), std::string::npos);
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
  EXPECT_NE(contents(folder_ / "v/samples.jsonl").find("--answers"), std::string::npos);
  const auto refused = [&](std::vector<std::string> more, const std::string& words) {
    more.insert(more.begin(), {"eval", model(), "-o", (folder_ / "refused").string()});
    const Ran ran = lithe(more);
    EXPECT_EQ(ran.code, 2);
    EXPECT_NE(ran.err.find(words), std::string::npos) << ran.err;
  };
  const std::string plans = (folder_ / "plans").string();
  const Ran several = lithe({"eval", model(), "--task", "snli_ve", "--data", data + "snli_ve_arrow", "--split", "test",
                             "-o", plans, "--plan", "dense", "--plan", R"({"name": "some", "layers": []})"});
  ASSERT_EQ(several.code, 0) << several.err;
  EXPECT_NE(several.out.find("B: some"), std::string::npos) << several.out;
  EXPECT_EQ(several.out.find("operations"), std::string::npos) << several.out;
  refused({"--task", "aid", "--data", data + "aid"}, "has no head for the task");
  refused({"--task", "nlvr2", "--split", "dev", "--data", data + "nlvr2", "--temp", "1"}, "sampling");
}

TEST_F(MeterProgram, DataNameTheAnswers) {
  const fs::path map = folder_ / "vqa_dict.json", named = folder_ / "named";
  Json answers = Json::object();
  for (int i = 0; i < 31; ++i) answers[std::to_string(i)] = "answer " + std::to_string(i);
  std::ofstream(map) << answers.dump();
  const std::vector<std::string> question{"--image", kPictures + "901.png", "what is it?"};
  const auto ask = [&](const std::string& from) {
    std::vector<std::string> call{"run", from, "--json"};
    call.insert(call.end(), question.begin(), question.end());
    return lithe(call);
  };
  const Ran numbers = ask(model());
  EXPECT_NE(numbers.err.find("has no names for the 31 answers of its head vqa"), std::string::npos) << numbers.err;
  const Ran converted = lithe({"convert", model(), "--answers", map.string(), "-o", named.string()});
  ASSERT_EQ(converted.code, 0) << converted.err;
  const Ran words = ask(named.string());
  EXPECT_EQ(words.err.find("has no names"), std::string::npos) << words.err;
  EXPECT_EQ(parse_json(words.out, "run").at("labels").at(0).at("label"),
            "answer " + parse_json(numbers.out, "run").at("labels").at(0).at("label").get<std::string>());

  const auto refused = [&](const std::string& from, const std::string& text, int code, const std::string& why) {
    std::ofstream(map) << text;
    const Ran ran = lithe({"convert", from, "--answers", map.string(), "-o", (folder_ / "refused").string()});
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_NE(ran.err.find(why), std::string::npos) << ran.err;
    EXPECT_FALSE(fs::exists(folder_ / "refused"));
  };
  refused(model(), R"(["yes", "no"])", 2, "tells 31 answers apart, and 2 names were given");
  answers.erase("3");
  refused(model(), answers.dump(), 2, "answer 3 of its head vqa has no name");
  refused(model(), "{", 3, "vqa_dict.json");
  refused("demo", R"(["yes"])", 2, "--answers is for METER models");
  const Ran none =
      lithe({"convert", model(), "--answers", LITHE_TEST_DATA "/tasks/vqav2", "-o", (folder_ / "refused").string()});
  EXPECT_EQ(none.code, 3);
  EXPECT_NE(none.err.find("holds neither METER's Arrow files"), std::string::npos) << none.err;
}

// As many answers are frequent in the annotations as the head tells apart.
TEST_F(MeterProgram, EvalTakesNamesFromTheData) {
  const fs::path out = folder_ / "eval", data = folder_ / "data";
  fs::create_directories(data / "val2014");
  fs::copy_file(LITHE_TEST_DATA "/tasks/vqav2/val2014/COCO_val2014_000000000042.jpg",
                data / "val2014/COCO_val2014_000000000042.jpg");
  Json questions = Json::array(), annotations = Json::array();
  for (int id = 0; id < 31 * 9; ++id) {
    const std::string answer = "word" + std::to_string(id % 31);
    questions.push_back({{"question_id", id}, {"image_id", 42}, {"question", "what is it?"}});
    annotations.push_back({{"question_id", id}, {"multiple_choice_answer", answer}, {"answers", {answer, answer}}});
  }
  std::ofstream(data / "v2_OpenEnded_mscoco_val2014_questions.json") << Json{{"questions", questions}};
  std::ofstream(data / "v2_mscoco_val2014_annotations.json") << Json{{"annotations", annotations}};
  const Ran ran = lithe(
      {"eval", model(), "--task", "vqav2", "--data", data.string(), "--limit", "40", "-o", out.string(), "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  std::ifstream lines(out / "samples.jsonl");
  int64_t answered = 0, right = 0;
  for (std::string line; std::getline(lines, line); ++answered) {
    const Json one = parse_json(line, "line");
    EXPECT_EQ(one.at("answer"), "word" + one.at("label").dump());
    right += one.at("label").get<int64_t>() == answered % 31 ? 1 : 0;
  }
  EXPECT_EQ(answered, 40);
  EXPECT_GT(right, 0) << "all questions are the same, and so is the answer";
  EXPECT_NEAR(parse_json(ran.out, "eval").at("scores").at(0).at("value").get<double>(),
              100.0 * static_cast<double>(right) / 40 / 3, 1e-3);  // one of three people besides
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
