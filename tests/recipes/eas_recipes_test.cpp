// Every recipe of recipes/eas, as it is, on a model and data that are small: it runs to its end, and leaves a model
// that skips what it was to skip and that its benchmark scores. So only weights and data are missing to make the
// tables.
//
// What is changed of a recipe: where the model and the data lie, the number of samples in a step, the number of steps
// (in the place of epochs), and when a search compares draws. What its comment asks of METER's config.json (image_size,
// max_text_len) is that of the small model: 32 pixels and 14 tokens. Of LLaVA and LaVIN, all 32 layers are there.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/program.h"
#include "plan/meter_sites.h"
#include "recipes/short_recipe.h"
#include "recipes/small_data.h"
#include "recipes/small_models.h"
#include "session/pair_session.h"
#include "session/session.h"
#include "tune/recipe.h"

namespace lithe::test {
namespace {

namespace fs = std::filesystem;
using cli::lithe;
using cli::Ran;
using cli::scratch;

constexpr int64_t kMeterLayers = 6;

const fs::path kEasRecipes = LITHE_SOURCE_DIR "/recipes/eas";

/// The recipe as a file with the paths and sizes of this test.
fs::path small_recipe(const std::string& name) {
  std::string recipe = cli::contents(kEasRecipes / (name + ".yaml"));
  const std::string here = scratch().string();
  replace(recipe, "^model_name_or_path: ~/", "model_name_or_path: " + here + "/models/", 1);
  replace(recipe, "^output_dir: tuned/", "output_dir: " + here + "/tuned/", 1);
  replace(recipe, "\\bpath: data/", "path: " + here + "/data/");
  replace(recipe, "^    steps: [0-9]+", "    steps: " + std::to_string(kSteps));
  replace(recipe, "^    warmup_steps: [0-9]+", "    warmup_steps: 1");
  replace(recipe, "^    every_steps: [0-9]+", "    every_steps: 1");
  shorten(recipe, kSteps);
  const fs::path file = scratch() / (name + ".yaml");
  std::ofstream(file) << recipe;
  return file;
}

/// What the table of docs/reproduce-eas.md says under "score", by recipe.
std::map<std::string, std::string> documented_scores() {
  std::ifstream page(LITHE_SOURCE_DIR "/docs/reproduce-eas.md");
  std::map<std::string, std::string> scores;
  for (std::string line; std::getline(page, line);) {
    std::istringstream row(line);
    std::vector<std::string> cells;
    for (std::string cell; std::getline(row, cell, '|');) cells.push_back(cell);
    if (!line.starts_with("| ") || cells.size() != 5) continue;
    const std::regex name("`([a-z0-9-]+)`");
    for (const std::string& cell : {cells[2], cells[3]})
      for (std::sregex_iterator found(cell.begin(), cell.end(), name), end; found != end; ++found)
        scores[(*found)[1]] = cells[4];
  }
  return scores;
}

/// The word after an option in a documented score; empty if it does not stand there.
std::string option_in(const std::string& score, const std::string& option) {
  std::smatch found;
  return std::regex_search(score, found, std::regex(option + " ([a-z0-9_+]+)")) ? found[1].str() : std::string();
}

/// The attentions that the plan of a tuned model skips, as recipes number them.
std::vector<int64_t> skipped_in(const fs::path& model) {
  if (session::PairSession::opens(model))
    return plan::meter_sites_off(session::PairSession::open(model).plan(), kMeterLayers);
  const session::Session session = session::Session::open(model);
  std::vector<int64_t> layers;
  for (const plan::LayerPlan& layer : session.plan().layers)
    if (layer.stream == "decoder" && !layer.self_attention) layers.push_back(layer.layer);
  return layers;
}

/// A row of each task's table.
const std::map<std::string, std::string> kRows{{"scienceqa", "AVG"},  {"slake", "overall"},  {"aid", "accuracy"},
                                               {"vqav2", "accuracy"}, {"nlvr2", "accuracy"}, {"snli_ve", "accuracy"},
                                               {"flickr30k", "IR@1"}};

/// Once.
void make_models_and_data() {
  const fs::path models = scratch() / "models";
  if (fs::exists(models)) return;
  make_small_llava(models / "llava-7b-v1.3");
  make_small_llava(models / "llava-v1.5-7b");
  make_small_lavin(models / "lavin");
  make_small_meter(models / "meter");
  make_small_data(scratch() / "data");
}

class EasRecipe : public ::testing::TestWithParam<std::string> {
 protected:
  EasRecipe() { make_models_and_data(); }

  void expect_skips(const tune::Recipe& recipe, const fs::path& tuned) const {
    const std::vector<int64_t> skipped = skipped_in(tuned);
    if (!recipe.eas || !recipe.eas->skip_count) {
      EXPECT_EQ(skipped, recipe.eas ? recipe.eas->skip_layers : std::vector<int64_t>());
      return;
    }
    EXPECT_EQ(static_cast<int64_t>(skipped.size()), *recipe.eas->skip_count);
    const Json scores = read_json_file(tuned / "search/scores.json");
    EXPECT_EQ(scores.at("skipped_layers").get<std::vector<int64_t>>(), skipped);
    EXPECT_GT(scores.at("comparisons").get<int64_t>(), 0);
    expect_finite_log(tuned / "search/log.jsonl", kSteps);
  }

  /// `lithe eval` as the page of documentation says it.
  void expect_scores(const tune::Recipe& recipe, const fs::path& tuned) const {
    const std::string documented = documented_scores()[GetParam()];
    ASSERT_FALSE(documented.empty()) << "docs/reproduce-eas.md does not name " << GetParam();
    const std::string task = recipe.data.front().task, split = option_in(documented, "--split");
    const std::string named = option_in(documented, "--task");
    EXPECT_TRUE(named.empty() || named == task) << named;
    std::vector<std::string> call{"eval",   tuned.string(),
                                  "--task", task,
                                  "--data", (scratch() / "data" / task).string(),
                                  "-o",     (scratch() / "eval" / GetParam()).string()};
    if (!split.empty()) call.insert(call.end(), {"--split", split});
    if (!session::PairSession::opens(tuned)) call.insert(call.end(), {"--max-tokens", "4"});
    const Ran ran = lithe(call);
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out.find("| " + task), 0U) << ran.out;
    EXPECT_NE(ran.out.find("| " + kRows.at(task)), std::string::npos) << ran.out;
  }
};

TEST_P(EasRecipe, RunsToItsEndAndIsScored) {
  const fs::path file = small_recipe(GetParam());
  const Ran ran = lithe({"tune", file.string()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const tune::Recipe recipe = tune::read_recipe(kEasRecipes / (GetParam() + ".yaml"));
  const fs::path tuned = scratch() / recipe.output_dir;
  expect_finite_log(tuned / "log.jsonl", kSteps);
  expect_skips(recipe, tuned);
  expect_scores(recipe, tuned);
}

/// The commands under "Make a line" in docs/reproduce-eas.md.
std::vector<std::string> documented_commands() {
  std::ifstream page(LITHE_SOURCE_DIR "/docs/reproduce-eas.md");
  std::vector<std::string> commands;
  std::string line;
  while (std::getline(page, line) && line != "## Make a line") continue;
  while (std::getline(page, line) && line != "```bash") continue;
  while (std::getline(page, line) && line != "```") commands.push_back(line);
  return commands;
}

TEST(EasPage, ItsCommandsMakeALine) {
  make_models_and_data();
  const fs::path folder = scratch();
  small_recipe("llava-slake");
  fs::remove_all(folder / "tuned/eas/llava-slake");
  const std::vector<std::string> commands = documented_commands();
  EXPECT_EQ(commands.size(), 4U);
  for (std::string command : commands) {
    replace(command, "recipes/eas/", "");
    replace(command, "~/", "models/");
    if (command.starts_with("lithe eval")) command += " --max-tokens 4";
    if (command.starts_with("lithe bench")) command += " --rounds 1 --decode-tokens 2";
    const Ran ran = cli::shell(command, folder);
    EXPECT_EQ(ran.code, 0) << command << "\n" << ran.err;
  }
  fs::remove_all(folder / "tuned/eas/llava-slake");
}

TEST(EasPage, NamesRecipesThatAreThere) {
  const std::map<std::string, std::string> scores = documented_scores();
  EXPECT_EQ(scores.size(), recipes_in(kEasRecipes).size());
  for (const auto& [name, score] : scores) EXPECT_TRUE(fs::exists(kEasRecipes / (name + ".yaml"))) << name;
}

INSTANTIATE_TEST_SUITE_P(Shipped, EasRecipe, ::testing::ValuesIn(recipes_in(kEasRecipes)), test_name);

}  // namespace
}  // namespace lithe::test
