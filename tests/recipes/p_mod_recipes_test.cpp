// Every recipe of recipes/p-mod beside the published settings, and to its end; and docs/reproduce-p-mod.md from its
// first command to its last. Models are narrow, but as deep as the published ones, and lie with a few records of each
// set in files as the hub has them. So only weights and data are missing to make the table.
//
// What is changed: `hf` copies instead of downloading; recipes have small batches and two steps; answers have four
// tokens.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "checkpoints/read/catalogue.h"
#include "cli/program.h"
#include "io/safetensors.h"
#include "models/model.h"
#include "plan/cost.h"
#include "plan/parse.h"
#include "recipes/short_recipe.h"
#include "recipes/small_hub.h"
#include "tune/recipe.h"

namespace lithe::test {
namespace {

namespace fs = std::filesystem;
using cli::Ran;
using cli::scratch;

constexpr int64_t kBenchmarks = 14;

const fs::path kPModRecipes = LITHE_SOURCE_DIR "/recipes/p-mod";
const fs::path kPage = LITHE_SOURCE_DIR "/docs/reproduce-p-mod.md";

/// What p-MoD's authors tuned with: scripts/train/finetune_eval_7b_pmod_llava_1_5.sh and _next.sh of MCG-NJU/p-MoD, for
/// eight GPUs. What those leave to transformers is here as well.
struct Published {
  double learning_rate = 2e-5, warmup_ratio = 0.03, weight_decay = 0, epochs = 1, max_grad_norm = 1;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  int64_t gpus = 8;
  int64_t on_a_gpu = 4, accumulated = 4, longest = 2048;  ///< Of LLaVA-1.5.
};

Published published_for(const std::string& recipe) {
  Published published;
  if (recipe.find("next") != recipe.npos) {
    published.on_a_gpu = 8;
    published.accumulated = 2;
    published.longest = 4096;
  }
  return published;
}

/// The published checkpoints' keys.
const std::map<std::string, Json> kModKeys{{"mod_target_layers", "shiftedcos_decay_0.85_0.15"},
                                           {"mod_router_factor", 0.5},
                                           {"mod_weight_norm", "tanh_0.2_1"},
                                           {"mod_target_token_type", "vision_all"},
                                           {"mod_bias_enabled", true},
                                           {"mod_special_init", true}};
constexpr size_t kRoutedLayers = 24;  // 8 to 31

bool is_dense(const std::string& recipe) {
  return recipe.ends_with("-dense");
}

/// A part of the page: its heading and the commands of one ```bash block below.
struct Block {
  std::string heading, script;
};

std::vector<Block> blocks_of_page() {
  std::ifstream page(kPage);
  std::vector<Block> blocks;
  std::string heading, line;
  bool inside = false;
  while (std::getline(page, line)) {
    if (inside && line == "```") {
      inside = false;
    } else if (inside) {
      blocks.back().script += line + "\n";
    } else if (line == "```bash") {
      inside = true;
      blocks.push_back({heading, ""});
    } else if (line.starts_with("#")) {
      heading = line;
    }
  }
  return blocks;
}

/// A folder in which the page's commands run, with a home folder and a hub of its own.
class Place {
 public:
  explicit Place(const std::string& name) : folder_(scratch() / name) {
    const fs::path hub = scratch() / "hub";
    if (!fs::exists(hub)) {
      make_small_hub(hub);
      write_hf(scratch() / "bin");
    }
    fs::create_directories(folder_ / "home");
    fs::create_directories(folder_ / "recipes/p-mod");
    fs::create_directory_symlink(LITHE_SOURCE_DIR "/tools", folder_ / "tools");
    make_llava_pictures(folder_ / "data/llava-1.5");
    for (const std::string& recipe : recipes_in(kPModRecipes)) {
      std::string text = cli::contents(kPModRecipes / (recipe + ".yaml"));
      shorten(text, kSteps);
      std::ofstream(folder_ / "recipes/p-mod" / (recipe + ".yaml")) << text;
    }
  }

  const fs::path& folder() const { return folder_; }
  fs::path home() const { return folder_ / "home"; }

  Ran run(std::string script) const {
    replace(script, "lithe eval ", "lithe eval --max-tokens 4 ");
    replace(script, "(join_llava.py .*--anyres)", "$1 --tile 56");  // the side of the small tower's picture
    return cli::shell(
        concat("set -e; export HOME='", home().string(), "' STAND_INS='", (scratch() / "hub").string(), "'\n", script),
        folder_);
  }

  /// The blocks of the page under one heading, or all.  -> their output together
  std::string run_page(const std::string& heading = "") const {
    std::string out;
    int64_t count = 0;
    for (const Block& block : blocks_of_page()) {
      if (!heading.empty() && block.heading != heading) continue;
      const Ran ran = run(block.script);
      EXPECT_EQ(ran.code, 0) << block.heading << "\n" << block.script << ran.err;
      out += ran.out;
      ++count;
    }
    EXPECT_GT(count, 0) << kPage << " has no commands under " << heading;
    return out;
  }

 private:
  fs::path folder_;
};

/// The models and data that recipes begin from, made as the page says.
const Place& workshop() {
  static const Place place = [] {
    Place made("workshop");
    made.run_page("### Weights to begin from");
    made.run_page("### Data to learn from");
    return made;
  }();
  return place;
}

/// The keys of p-MoD in a config.json.
std::map<std::string, Json> mod_keys_of(const fs::path& model) {
  std::map<std::string, Json> keys;
  const Json config = read_json_file(model / "config.json");
  for (const auto& [key, value] : config.items())
    if (key.starts_with("mod_")) keys.emplace(key, value);
  return keys;
}

/// The newline row of LLaVA-NeXT, which is part neither of the language model nor of the projector of the first stage.
std::vector<float> newline_in(const fs::path& file) {
  const io::SafetensorsFile opened = io::open_safetensors(file);
  const std::span<const float> values = opened.tensors.at("model.image_newline").values<float>();
  return {values.begin(), values.end()};
}

class PModRecipe : public ::testing::TestWithParam<std::string> {};

TEST_P(PModRecipe, HasThePublishedSettings) {
  const tune::Recipe recipe = tune::read_recipe(kPModRecipes / (GetParam() + ".yaml"));
  const Published published = published_for(GetParam());
  EXPECT_EQ(recipe.learning_rate, published.learning_rate);
  EXPECT_FALSE(recipe.mm_projector_lr || recipe.mm_vision_tower_lr) << "one rate for all that learns";
  EXPECT_EQ(recipe.lr_scheduler_type, tune::LrSchedule::cosine);
  EXPECT_EQ(recipe.warmup_ratio, published.warmup_ratio);
  EXPECT_EQ(recipe.weight_decay, published.weight_decay);
  EXPECT_EQ(recipe.num_train_epochs, published.epochs);
  EXPECT_EQ(recipe.max_grad_norm, published.max_grad_norm);
  EXPECT_EQ(recipe.adam_beta1, published.beta1);
  EXPECT_EQ(recipe.adam_beta2, published.beta2);
  EXPECT_EQ(recipe.adam_epsilon, published.epsilon);
  EXPECT_EQ(recipe.per_device_train_batch_size, published.on_a_gpu);
  EXPECT_EQ(recipe.gradient_accumulation_steps, published.accumulated * published.gpus);
  EXPECT_EQ(recipe.model_max_length, published.longest);
  EXPECT_TRUE(recipe.bf16 && recipe.gradient_checkpointing && recipe.group_by_length);
  EXPECT_FALSE(recipe.train || recipe.lora || recipe.eas);
  EXPECT_EQ(recipe.p_mod.has_value(), !is_dense(GetParam()));
}

TEST_P(PModRecipe, DiffersFromItsTwinInPModAlone) {
  Json own = tune::settings_of(tune::read_recipe(kPModRecipes / (GetParam() + ".yaml")));
  const std::string pair = is_dense(GetParam()) ? GetParam().substr(0, GetParam().rfind('-')) : GetParam() + "-dense";
  Json other = tune::settings_of(tune::read_recipe(kPModRecipes / (pair + ".yaml")));
  for (Json* settings : {&own, &other}) {
    settings->erase("p_mod");
    settings->erase("output_dir");
  }
  EXPECT_EQ(own, other);
}

TEST_P(PModRecipe, TrainsDecoderProjectorAndRouters) {
  const Ran ran = workshop().run("lithe tune recipes/p-mod/" + GetParam() + ".yaml --dry-run --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json estimate = parse_json(ran.out, "the dry run");
  std::set<std::string> learning;
  int64_t learn = 0;
  for (const Json& part : estimate.at("parts")) {
    const auto count = part.at("learn").get<int64_t>();
    EXPECT_TRUE(count == 0 || count == part.at("parameters").get<int64_t>()) << part;
    if (count > 0) learning.insert(part.at("name").get<std::string>());
    learn += count;
  }
  std::set<std::string> expected{"decoder", "projector"};
  if (!is_dense(GetParam())) expected.insert("routers");
  EXPECT_EQ(learning, expected);
  EXPECT_EQ(estimate.at("samples"), 5);
  EXPECT_EQ(estimate.at("bad_samples"), 0);
  EXPECT_EQ(estimate.at("optimiser_bytes").get<int64_t>(), 12 * learn) << "the page counts with it";
}

TEST_P(PModRecipe, RunsToItsEndAndIsScored) {
  const Place& place = workshop();
  const Ran tuning = place.run("lithe tune recipes/p-mod/" + GetParam() + ".yaml");
  ASSERT_EQ(tuning.code, 0) << tuning.err;
  const fs::path tuned = place.folder() / "tuned/p-mod" / GetParam();
  expect_finite_log(tuned / "log.jsonl", kSteps);
  std::map<std::string, Json> keys = mod_keys_of(tuned);
  if (is_dense(GetParam())) {
    EXPECT_TRUE(keys.empty());
  } else {
    EXPECT_EQ(keys.at("mod_target_layer_indices").size(), kRoutedLayers);
    keys.erase("mod_target_layer_indices");
    EXPECT_EQ(keys, kModKeys) << "those of the published checkpoints";
  }
  if (GetParam().starts_with("llava-next")) {
    EXPECT_NE(newline_in(tuned / "model.safetensors"),
              newline_in(place.home() / "llava-next-start/image_newline.safetensors"));
  }
  const fs::path data = fs::path(LITHE_TEST_DATA) / "benchmarks/scienceqa_img",
                 out = place.folder() / "eval" / GetParam();
  const Ran eval = place.run(concat("lithe eval tuned/p-mod/", GetParam(), " --task scienceqa_img --data '",
                                    data.string(), "' -o '", out.string(), "'"));
  ASSERT_EQ(eval.code, 0) << eval.err;
  const Json result = read_json_file(out / "result.json");
  EXPECT_TRUE(result.at("finished"));
  EXPECT_EQ(result.at("settings").at("plan").at("layers").size(), is_dense(GetParam()) ? 0 : kRoutedLayers);
}

/// The scores that the page's loop wrote for a model.
void expect_scored(const fs::path& folder, size_t routed) {
  int64_t count = 0;
  for (const fs::directory_entry& task : fs::directory_iterator(folder)) {
    const Json result = read_json_file(task.path() / "result.json");
    EXPECT_TRUE(result.at("finished")) << task.path();
    EXPECT_EQ(result.at("answered"), result.at("questions")) << task.path();
    EXPECT_EQ(result.at("settings").at("plan").at("layers").size(), routed) << task.path();
    EXPECT_EQ(result.at("protocol"), "paper") << task.path();
    ++count;
  }
  EXPECT_EQ(count, kBenchmarks) << folder;
}

/// Rows of tables that say "-": scores that nobody measured.
std::string rows_without_score(const std::string& out) {
  std::istringstream in(out);
  std::string rows;
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("| ") && line.find("| - |") != line.npos) rows += line + "\n";
  return rows;
}

TEST(PModPage, ItsCommandsLeadFromPublicWeightsToTheTable) {
  const Place place("page");
  const std::string out = place.run_page();
  EXPECT_NE(out.find("| `scienceqa_img` | `exact_match` | 69.7 | 71.0 |"), std::string::npos) << out;
  EXPECT_EQ(rows_without_score(out), "");
  for (const char* model : {"llava-1.5-7b", "p-mod-llava-1.5-7b", "p-mod-llava-next-7b"}) {
    const bool dense = std::string(model) == "llava-1.5-7b";
    expect_scored(place.folder() / "eval" / model, dense ? 0 : kRoutedLayers);
    EXPECT_EQ(models::open_model(place.home() / model)->prompting.conversation, "vicuna_v1") << model;
  }
}

/// Half of the last digit of "8.40".
double rounding_of(const std::string& number) {
  return 0.5 * std::pow(10.0, -static_cast<double>(number.size() - number.find('.') - 1));
}

/// The table of operations: its row of a model, a prompt, and what is counted for it.
TEST(PModPage, CountsWhatLitheCounts) {
  const std::regex row(
      R"(\| LLaVA-(1\.5|NeXT)-7B \| ([0-9,]+), ([0-9]+) \| ([0-9.]+) T \| ([0-9.]+) T \| ([0-9.]+) % \| ([0-9.]+) % \|.*)");
  std::ifstream page(kPage);
  int64_t count = 0;
  std::smatch cells;
  for (std::string line; std::getline(page, line);) {
    if (!std::regex_match(line, cells, row)) continue;
    ++count;
    std::string vision = cells[2];
    std::erase(vision, ',');
    const plan::ModelFacts facts = plan::shape_named(cells[1] == "NeXT" ? "llava-next-7b" : "llava-1.5-7b");
    const plan::CostTable table = plan::cost(plan::load_plan("p-mod", facts), facts,
                                             plan::prompt_of(facts, std::stoll(vision), std::stoll(cells[3])));
    EXPECT_NEAR(table.dense.flops / 1e12, std::stod(cells[4]), rounding_of(cells[4])) << line;
    EXPECT_NEAR(table.total.flops / 1e12, std::stod(cells[5]), rounding_of(cells[5])) << line;
    EXPECT_NEAR(100 * table.total.flops / table.dense.flops, std::stod(cells[6]), 0.05) << line;
    const double cached = double(table.total.vision_kv_rows) / double(table.dense.vision_kv_rows);
    EXPECT_NEAR(100 * cached, std::stod(cells[7]), 0.05) << line;
  }
  EXPECT_EQ(count, 3);
}

TEST(PModPage, NamesEveryRecipe) {
  const std::string page = cli::contents(kPage);
  const std::vector<std::string> recipes = recipes_in(kPModRecipes);
  EXPECT_EQ(recipes.size(), 4U);
  for (const std::string& recipe : recipes) EXPECT_NE(page.find("`" + recipe + "`"), page.npos) << recipe;
}

INSTANTIATE_TEST_SUITE_P(Shipped, PModRecipe, ::testing::ValuesIn(recipes_in(kPModRecipes)), test_name);

}  // namespace
}  // namespace lithe::test
