// `lithe tune` as its users meet it: what it writes, what it refuses, and that a kill loses nothing.
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "base/json.h"
#include "cli/program.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

/// A recipe for a tiny dense model and three samples. `more`: further lines.
fs::path write_recipe(const std::string& name, const std::string& more, int steps = 12) {
  const fs::path folder = scratch() / name;
  fs::remove_all(folder);
  fs::create_directories(folder);
  std::ofstream(folder / "recipe.yaml") << "model_name_or_path: " << LITHE_TEST_DATA
                                        << "/golden/liuhaotian_llava15/checkpoint\n"
                                        << "output_dir: " << (folder / "out").string() << "\n"
                                        << "data:\n  - path: " << LITHE_TEST_DATA
                                        << "/golden/pmod_train/inputs/data.json\n"
                                        << "template: vicuna_v1\nper_device_train_batch_size: 2\nmax_steps: " << steps
                                        << "\n"
                                        << "learning_rate: 1.0e-3\n"
                                        << more;
  return folder / "recipe.yaml";
}

std::vector<double> losses(const fs::path& recipe) {
  std::vector<double> losses;
  std::ifstream log(recipe.parent_path() / "out/log.jsonl");
  for (std::string line; std::getline(log, line);) losses.push_back(Json::parse(line).at("loss").get<double>());
  return losses;
}

TEST(Tune, WritesAModelThatAnswers) {
  const fs::path recipe = write_recipe("tune-writes", "p_mod: {}\n");
  const Ran ran = lithe({"tune", recipe.string(), "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json result = Json::parse(ran.out);
  EXPECT_EQ(result.at("schema"), "lithe-tune/1");
  EXPECT_EQ(result.at("steps"), 12);
  EXPECT_EQ(losses(recipe).size(), 12u);
  const Ran answer = lithe({"run", result.at("output").get<std::string>(), "Hello", "-n", "2"});
  EXPECT_EQ(answer.code, 0) << answer.err;
}

TEST(Tune, LoraWritesAFolderThatRunTakes) {
  const fs::path recipe = write_recipe("tune-lora", "lora:\n  r: 4\n");
  const Ran ran = lithe({"tune", recipe.string()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out.find("step 10/12 (83 %), loss "), 0u) << ran.out;  // every logging_steps steps, and the last
  EXPECT_NE(ran.out.find("\nstep 12/12 (100 %), loss "), std::string::npos) << ran.out;
  EXPECT_LT(losses(recipe).back(), losses(recipe).front());
  const Ran answer = lithe({"run", LITHE_TEST_DATA "/golden/liuhaotian_llava15/checkpoint", "--lora",
                            (recipe.parent_path() / "out").string(), "Hello", "-n", "2"});
  EXPECT_EQ(answer.code, 0) << answer.err;
}

TEST(Tune, ARecipeHasAName) {
  const Ran ran = lithe({"tune", ""});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("The name of the recipe is empty"), std::string::npos) << ran.err;
}

TEST(Tune, TheBaseOfALoraIsSaid) {
  const fs::path recipe = write_recipe("tune-lora-again", "lora: {r: 4}\n", 1), folder = recipe.parent_path();
  ASSERT_EQ(lithe({"tune", recipe.string()}).code, 0);
  for (const char* const more : {"", "lora: {r: 4}\n"}) {
    std::ofstream(folder / "again.yaml") << "model_name_or_path: out\noutput_dir: again\ndata: " << LITHE_TEST_DATA
                                         << "/golden/pmod_train/inputs/data.json\ntemplate: vicuna_v1\n"
                                         << more;
    const Ran ran = shell("lithe tune again.yaml", folder);
    EXPECT_EQ(ran.code, 2) << more << ran.err;
    EXPECT_NE(ran.err.find("has LoRA already"), std::string::npos) << more << ran.err;
    EXPECT_NE(ran.err.find("lora.adapter_name_or_path"), std::string::npos) << more << ran.err;
    EXPECT_NE(ran.err.find("`lithe fold` first"), std::string::npos) << more << ran.err;
  }
}

TEST(Tune, AdaptersTakeTheAttentionsPlaceAndFold) {
  const fs::path recipe = write_recipe("tune-eas", "eas:\n  skip: [1]\n  rep_dim: 4\n  pia_dim: 4\n");
  const Ran ran = lithe({"tune", recipe.string()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_LT(losses(recipe).back(), losses(recipe).front());
  const fs::path folded = recipe.parent_path() / "folded";
  const Ran fold = lithe({"fold", (recipe.parent_path() / "out").string(), "-o", folded.string()});
  EXPECT_EQ(fold.code, 0) << fold.err;
  const Ran answer = lithe({"run", folded.string(), "Hello", "-n", "2"});
  EXPECT_EQ(answer.code, 0) << answer.err;
}

TEST(Tune, ADryRunWritesNothing) {
  const fs::path recipe = write_recipe("tune-dry", "");
  const Ran ran = lithe({"tune", recipe.string(), "--dry-run", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json estimate = Json::parse(ran.out);
  EXPECT_EQ(estimate.at("samples"), 3);
  EXPECT_GT(estimate.at("mean_sample_tokens").get<int64_t>(), 0);
  EXPECT_GT(estimate.at("activation_bytes").get<int64_t>(), 10000);
  EXPECT_FALSE(fs::exists(recipe.parent_path() / "out"));
}

TEST(Tune, RefusesInOneSentence) {
  const std::pair<const char*, const char*> cases[] = {
      {"learning_rat: 1.0e-4\n", "learning_rate"},
      {"max_steps: 3\n", "max_steps"},
      {"group_by_length: true\nshare_images: true\n", "group_by_length"},
      {"eas:\n  skip: 1\n  search:\n    evaluate_with_dropout: true\n", "eas.dropout"},
      {"eas:\n  skip: [99]\n", "99"},
      {"model_max_length: 20\n", "model_max_length is 20"},
      {"lora:\n  target_modules: [all-linear, q_proj]\n", "all-linear"},
      {"train: [\"no.such.weight\"]\n", "train"},
  };
  for (const auto& [lines, named] : cases) {
    const Ran ran = lithe({"tune", write_recipe("tune-refuses", lines).string()});
    EXPECT_TRUE(ran.code == 2 || ran.code == 3) << lines << ran.err;
    EXPECT_NE(ran.err.find(named), std::string::npos) << lines << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << lines << ran.err;
  }
  const Ran ran = lithe({"tune", write_recipe("tune-refuses", "").string(), "--mmproj", "x"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_NE(ran.err.find("leave out --mmproj"), std::string::npos) << ran.err;
}

TEST(Tune, ADryRunEndsWithAnErrorIfTheRunWould) {
  const fs::path recipe = write_recipe("tune-dry-bad", "eval_data: held_out.json\n");
  std::ofstream(recipe.parent_path() / "held_out.json")
      << R"([{"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
             {"conversations": [{"from": "human", "value": "Q"}]}])";
  const Ran ran = shell("lithe tune recipe.yaml --dry-run", recipe.parent_path());
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.out.find("eval_data    1 can't be used"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("\npeak "), std::string::npos) << ran.out;
  EXPECT_NE(ran.err.find("it would leave out 1 record of eval_data, and skip_bad_samples is 0"), std::string::npos)
      << ran.err;
  std::ofstream(recipe, std::ios::app) << "skip_bad_samples: 1\n";
  EXPECT_EQ(shell("lithe tune recipe.yaml --dry-run", recipe.parent_path()).code, 0);
}

/// Kills a run with p-MoD at 20 random moments: some milliseconds after its start, or after a growing number of steps.
TEST(Tune, AKillAtAnyMomentLosesNothingButSteps) {
  constexpr int kKills = 20, kSteps = 120, kLast = 80;  // steps in all, and before the last kill
  const std::string lines = "p_mod: {}\nsave_steps: 1\nsave_total_limit: 3\n";
  const fs::path whole = write_recipe("tune-whole", lines, kSteps);
  ASSERT_EQ(lithe({"tune", whole.string()}).code, 0);
  const fs::path killed = write_recipe("tune-killed", lines + "resume_from_checkpoint: true\n", kSteps);
  std::mt19937 random(5);
  int kills = 0;
  for (int i = 0; i < kKills; ++i) {
    const int steps = i * kLast / kKills, more = static_cast<int>(random() % 60);  // ms
    const Ran ran = shell("lithe tune recipe.yaml & p=$!; until [ $(cat out/log.jsonl 2>/dev/null | wc -l) -ge " +
                              std::to_string(steps) + " ] || ! kill -0 $p 2>/dev/null; do sleep 0.01; done; sleep 0.0" +
                              (more < 10 ? "0" : "") + std::to_string(more) + "; kill -9 $p; wait $p",
                          killed.parent_path());
    ASSERT_TRUE(ran.code == 137 || ran.code == 0) << ran.code << ran.err;
    kills += ran.code == 137 ? 1 : 0;
  }
  EXPECT_EQ(kills, kKills);
  EXPECT_LT(losses(killed).size(), static_cast<size_t>(kSteps));
  ASSERT_EQ(lithe({"tune", killed.string()}).code, 0);
  EXPECT_EQ(losses(killed), losses(whole));
  EXPECT_EQ(contents(killed.parent_path() / "out/model.safetensors"),
            contents(whole.parent_path() / "out/model.safetensors"));
}

}  // namespace
}  // namespace lithe::cli
