// LaVIN as a user meets it: counted without weights, and asked in the folder in which its parts are published.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "cli/program.h"
#include "io/safetensors.h"
#include "models/lavin_folder.h"
#include "temporary_folder.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

const fs::path kCases = LITHE_TEST_DATA "/golden";

Json inspected(const char* plan) {
  const Ran ran = lithe({"inspect", "--shape", "lavin-7b", "--plan", plan, "--json"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  return parse_json(ran.out, "stdout");
}

// The papers say 3.8 M for LaVIN, and 5.4 M with EAS.
TEST(Lavin, TheShapeHasAsManyTrainedParametersAsThePapersSay) {
  const Json dense = inspected("dense"), eas = inspected("eas-12");
  EXPECT_EQ(dense.at("trained_parameters"), 3'781'296);
  EXPECT_EQ(eas.at("trained_parameters"), 5'354'448);
  EXPECT_EQ(eas.at("parameters_by_part").at("projector"), 659'584);
  const Json& total = eas.at("cost").at("total");
  EXPECT_EQ(total.at("kv_tokens"), 20 * 46);  // six tokens of a picture and 40 of text in the layers that attend
  EXPECT_LT(total.at("decoder_flops"), dense.at("cost").at("total").at("decoder_flops"));
  EXPECT_EQ(total.at("projector_flops"), 2 * 6 * (1024 * 128 + 128 * 4096));
  const std::string text = lithe({"inspect", "--shape", "lavin-7b", "--plan", "eas-12"}).out;
  EXPECT_NE(text.find("trained  5.35 M parameters: adapters, projector, modality rows"), std::string::npos) << text;
}

/// The tokens of the case after its prompt.
Json published_tokens(const std::string& name, const std::string& group) {
  const io::SafetensorsFile file = io::open_safetensors(kCases / name / "expected.safetensors");
  const auto all = file.tensors.at(group).values<int64_t>();
  return Json(std::vector<int64_t>(all.end() - 12, all.end()));
}

TEST(Lavin, AnswersAsPublished) {
  const test::TemporaryFolder temp;
  const std::string picture = kCases / "lavin/inputs/scienceqa/images/test/6/image.png";
  for (const std::string name : {"lavin", "lavin_eas"}) {
    test::link_lavin(name, temp / name);
    const Json prompts = read_json_file(kCases / name / "case.json").at("prompts");
    const std::string kind = name == "lavin" ? "gen_single" : "gen_frozen";
    const Json asked[] = {prompts.at(0), prompts.at(1)};
    for (size_t i = 0; i < 2; ++i) {
      std::vector<std::string> words{"run", (temp / name).string(), "-n", "12", "--json"};
      if (i == 1) words.insert(words.end(), {"--image", picture});
      words.push_back(asked[i]);
      const Ran ran = lithe(words);
      ASSERT_EQ(ran.code, 0) << ran.err;
      EXPECT_EQ(parse_json(ran.out, "stdout").at("tokens"),
                published_tokens(name, kind + std::to_string(i) + ".tokens" + std::to_string(i)));
    }
  }
}

// Most questions of ScienceQA have no picture, and LaVIN's gates tell.
TEST(Lavin, FoldsForPromptsWithoutAPicture) {
  const test::TemporaryFolder temp;
  const std::string model = (temp / "lavin_eas").string(), out = (temp / "folded").string();
  test::link_lavin("lavin_eas", model);
  const std::string prompt = read_json_file(kCases / "lavin_eas/case.json").at("prompts").at(0);
  const std::vector<std::string> call{"fold", model, "--freeze", "--no-image", "--prompt", prompt, "-o", out, "--json"};
  const Ran folded = lithe(call);
  ASSERT_EQ(folded.code, 0) << folded.err;
  const Json report = parse_json(folded.out, "fold");
  EXPECT_EQ(report.at("new_tokens_equal"), report.at("new_tokens"));
  const Ran ran = lithe({"run", out, "-n", "12", "--json", prompt});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(parse_json(ran.out, "stdout").at("tokens"), published_tokens("lavin_eas", "gen_frozen0.tokens0"));
  EXPECT_EQ(parse_json(ran.out, "stdout").at("prompt_tokens"), report.at("prompt_tokens"));
  std::vector<std::string> both = call;
  both.insert(both.end(), {"--image", LITHE_SOURCE_DIR "/models/images/901.png"});
  EXPECT_NE(lithe(both).err.find("exclude each other"), std::string::npos);
}

TEST(Lavin, ABatchFileGivesWhatRunGives) {
  const test::TemporaryFolder temp;
  test::link_lavin("lavin", temp / "lavin");
  const Json prompts = read_json_file(kCases / "lavin/case.json").at("prompts");
  std::ofstream in(temp / "in.jsonl");
  for (size_t i = 0; i < prompts.size(); ++i) {
    Json line{{"id", i}, {"prompt", prompts.at(i)}, {"max_tokens", 12}};
    if (i > 0)
      line["image"] = (kCases / "lavin/inputs/scienceqa/images/test" / std::to_string(5 + i) / "image.png").string();
    in << line.dump() << '\n';
  }
  in.close();
  const std::string out = (temp / "out.jsonl").string();
  const Ran ran = lithe({"batch", (temp / "lavin").string(), (temp / "in.jsonl").string(), "-o", out});
  ASSERT_EQ(ran.code, 0) << ran.err;
  std::ifstream lines(out);
  std::string line;
  size_t answered = 0;
  while (std::getline(lines, line)) {
    const Json json = parse_json(line, out);
    const std::string i = std::to_string(json.at("id").get<int64_t>());
    EXPECT_EQ(json.at("tokens"), published_tokens("lavin", "gen_single" + i + ".tokens" + i)) << line;
    ++answered;
  }
  EXPECT_EQ(answered, prompts.size());
}

}  // namespace
}  // namespace lithe::cli
