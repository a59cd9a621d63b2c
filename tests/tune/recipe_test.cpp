#include "tune/recipe.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/error.h"
#include "plan/parse.h"
#include "tune/recipe_keys.h"

namespace lithe::tune {
namespace {

const std::string kLeast = "model_name_or_path: demo\noutput_dir: out\ndata: train.json\n";

Recipe parse(const std::string& more) {
  return parse_recipe(kLeast + more, "r.yaml");
}

/// The sentence that refuses a text; empty if it is taken.
std::string refusal(const std::string& text) {
  try {
    parse_recipe(text, "r.yaml");
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::bad_file);
    return error.what();
  }
  return "";
}

std::string refusal_of(const std::string& more) {
  return refusal(kLeast + more);
}

TEST(Recipe, DefaultsAreThoseOfTrainingArguments) {
  const Recipe recipe = parse("");
  EXPECT_EQ(recipe.model_name_or_path, "demo");
  EXPECT_EQ(recipe.output_dir, "out");
  ASSERT_EQ(recipe.data.size(), 1u);
  EXPECT_EQ(recipe.data[0].path, "train.json");
  EXPECT_EQ(recipe.data[0].weight, 1);
  EXPECT_EQ(recipe.per_device_train_batch_size, 8);
  EXPECT_EQ(recipe.learning_rate, 5e-5);
  EXPECT_EQ(recipe.num_train_epochs, 3);
  EXPECT_FALSE(recipe.max_steps);
  EXPECT_EQ(recipe.lr_scheduler_type, LrSchedule::linear);
  EXPECT_EQ(recipe.max_grad_norm, 1);
  EXPECT_EQ(recipe.seed, 42);
  EXPECT_EQ(recipe.save_steps, 500);
  EXPECT_FALSE(recipe.lora || recipe.p_mod || recipe.eas);
  EXPECT_EQ(recipe.pia_mean, PiaMean::prompt);
  EXPECT_TRUE(recipe.tensorboard && recipe.html);
}

TEST(Recipe, ReadsNumbersAsPeopleWriteThem) {
  EXPECT_EQ(parse("learning_rate: 2e-5").learning_rate, 2e-5);  // a string for other readers of YAML
  EXPECT_EQ(parse("learning_rate: \"2e-5\"").learning_rate, 2e-5);
  EXPECT_EQ(parse("learning_rate: .5").learning_rate, 0.5);
  EXPECT_FALSE(parse("max_steps: -1").max_steps) << "as TrainingArguments: the epochs decide";
  EXPECT_EQ(refusal_of("max_steps: -1\nnum_train_epochs: 2"), "");
  EXPECT_TRUE(parse("bf16: True").bf16);
  EXPECT_TRUE(parse("bf16: yes").bf16);
  EXPECT_EQ(parse("save_total_limit: null").save_total_limit, std::nullopt);
}

TEST(Recipe, KnowsTheHomeFolder) {
  ASSERT_EQ(setenv("HOME", "/root", 0), 0);  // an empty system may have none
  const char* const home = std::getenv("HOME");
  const Recipe recipe =
      parse_recipe("model_name_or_path: ~/m\noutput_dir: ~/o\ndata: [{path: ~/d, images: ~/p}, a~/b]", "r");
  EXPECT_EQ(recipe.model_name_or_path, home + std::string("/m"));
  EXPECT_EQ(recipe.output_dir, home + std::string("/o"));
  EXPECT_EQ(recipe.data[0].path, home + std::string("/d"));
  EXPECT_EQ(recipe.data[0].images, home + std::string("/p"));
  EXPECT_EQ(recipe.data[1].path, "a~/b");
}

TEST(Recipe, ReadsEveryBlock) {
  const Recipe recipe = parse(R"(
eval_data:
  - other.jsonl
  - {path: info/dataset_info.json, dataset: slake, images: pics.zip, columns: {messages: chat, images: photos}, tags: {role_tag: who}}
train: ["*mm_projector*", "!*.bias"]
lora: {lora_rank: 16, dropout: 0, target_modules: "q_proj, v_proj"}
p_mod: {schedule: shiftedlinear_decay_0.58_0.45, shift: 0.1, divisor: 31, norm: softmax_2.0_0.5, router_lr: 1e-3}
eas: {skip: 2, rep_dim: 8, pia_dim: 16, search: {bandit: softmax, draws: 5, ramp: true, evaluate_on: training_batch}}
lr_scheduler_type: cosine
report_to: [html]
resume_from_checkpoint: true
metric_for_best_model: exact_match
)");
  ASSERT_EQ(recipe.eval_data.size(), 2u);
  EXPECT_EQ(recipe.eval_data[0].path, "other.jsonl");
  EXPECT_EQ(recipe.eval_data[1].dataset, "slake");
  EXPECT_EQ(recipe.eval_data[1].columns.at("images"), "photos");
  EXPECT_EQ(recipe.eval_data[1].tags.at("role_tag"), "who");
  EXPECT_EQ(recipe.train->size(), 2u);
  EXPECT_EQ(recipe.lora->r, 16);
  EXPECT_EQ(recipe.lora->alpha(), 32);
  EXPECT_EQ(recipe.lora->lora_dropout, 0);
  EXPECT_EQ(recipe.lora->target_modules, (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_EQ(recipe.p_mod->shift, 0.1);
  EXPECT_EQ(recipe.p_mod->router_lr, 1e-3);
  EXPECT_EQ(recipe.eas->skip_count, 2);
  EXPECT_EQ(recipe.eas->search.bandit, EasSearchRecipe::Bandit::softmax);
  EXPECT_EQ(recipe.eas->search.update_rate(), 2);
  EXPECT_EQ(recipe.eas->search.evaluate_on, EasSearchRecipe::EvaluateOn::training_batch);
  EXPECT_EQ(recipe.resume_from_checkpoint, "");
  EXPECT_FALSE(recipe.tensorboard);
  EXPECT_TRUE(parse("p_mod: {}").p_mod.has_value());
  EXPECT_TRUE(parse("lora: true").lora.has_value());
  EXPECT_FALSE(parse("lora: false").lora.has_value());
}

TEST(Recipe, RefusesKeysThatAreUnknownOrDoubled) {
  EXPECT_EQ(refusal_of("learnin_rate: 1"),
            "r.yaml, line 4: a recipe has no key \"learnin_rate\"; did you mean learning_rate?");
  EXPECT_EQ(refusal_of("\nlora_rank: 8"), "r.yaml, line 5: a recipe has no key \"lora_rank\"; it belongs into lora.");
  EXPECT_EQ(refusal_of("eas:\n  skip: 3\n  serch: {}"),
            "r.yaml, line 6: eas has no key \"serch\"; did you mean search?");
  EXPECT_EQ(refusal_of("stage: sft"),
            "r.yaml, line 4: a recipe has no key \"stage\"; `lithe help recipe` lists the keys.");
  EXPECT_EQ(refusal_of("seed: 1\nbf16: true\nseed: 2"),
            "r.yaml, line 6: the key \"seed\" is already in line 4; leave one of them out.");
  EXPECT_EQ(refusal_of("lora: {r: 4,\n  lora_rank: 8}"),
            "r.yaml, line 5: lora.r is \"8\"; give this key once: line 4 has it too.");
  EXPECT_EQ(refusal_of("eval_data: [{path: a, wieght: 2}]"),
            "r.yaml, line 4: eval_data[1] has no key \"wieght\"; did you mean weight?");
}

TEST(Recipe, RefusesValuesOfAnotherTypeOrRange) {
  EXPECT_EQ(refusal_of("max_steps: ten"), "r.yaml, line 4: max_steps is \"ten\"; give a whole number from 1, or -1.");
  EXPECT_EQ(refusal_of("seed: 3.0"), "r.yaml, line 4: seed is \"3.0\"; give a whole number from 0.");
  EXPECT_EQ(refusal_of("adam_beta1: 1"), "r.yaml, line 4: adam_beta1 is \"1\"; give a number from 0 and below 1.");
  EXPECT_EQ(refusal_of("learning_rate: nan"), "r.yaml, line 4: learning_rate is \"nan\"; give a number from 0 to 10.");
  EXPECT_EQ(refusal_of("shuffle: 1"), "r.yaml, line 4: shuffle is \"1\"; give true or false.");
  EXPECT_EQ(refusal_of("lr_scheduler_type: cosin"),
            "r.yaml, line 4: lr_scheduler_type is \"cosin\"; give linear, cosine, constant or constant_with_warmup.");
  EXPECT_EQ(refusal_of("lora: [1]"), "r.yaml, line 4: lora is a list; give keys with values.");
  EXPECT_EQ(refusal_of("lora:"), "r.yaml, line 4: lora is empty; give its keys, or {} for their defaults.");
  EXPECT_EQ(refusal_of("eas: {skip: [3, 1, 3]}"),
            "r.yaml, line 4: eas.skip is a list; give each layer once: 3 is there twice.");
  EXPECT_EQ(refusal_of("eval_data: [{images: a}]"),
            "r.yaml, line 4: eval_data[1] has no path; say where its records are.");
  EXPECT_NE(refusal_of("p_mod: {norm: tan_1_2}").find("line 4: p_mod.norm"), std::string::npos);
  EXPECT_EQ(refusal("[1]"), "r.yaml, line 1: the recipe is a list; give keys with values.");
  EXPECT_EQ(refusal(""), "r.yaml, line 1: the recipe is empty; give keys with values.");
}

TEST(Recipe, RefusesWhatContradictsItself) {
  EXPECT_EQ(refusal("output_dir: out\ndata: a\n"), "r.yaml: has no model_name_or_path, which every recipe needs.");
  EXPECT_EQ(refusal_of("max_steps: 3\nnum_train_epochs: 1"),
            "r.yaml, line 5: max_steps and num_train_epochs exclude each other; leave one out.");
  EXPECT_NE(refusal_of("warmup_ratio: 0.1\nwarmup_steps: 3").find("exclude each other"), std::string::npos);
  EXPECT_EQ(refusal_of("warmup_ratio: 0.0\nwarmup_steps: 3"), "");
  EXPECT_NE(refusal_of("warmup_steps: 9\nmax_steps: 3").find("line 4: warmup_steps is 9"), std::string::npos);
  EXPECT_NE(refusal_of("eval_steps: 9").find("eval_steps needs eval_data"), std::string::npos);
  EXPECT_NE(refusal_of("eas: {skip: [1]}\nshare_images: true").find("line 5: share_images"), std::string::npos);
  EXPECT_NE(refusal_of("eas: {}").find("eas has no skip"), std::string::npos);
  EXPECT_NE(refusal_of("eas: {skip: [1], search: {}}").find("nothing to search"), std::string::npos);
  EXPECT_NE(refusal_of("eas: {skip: [1], rep_dim: 7}").find("eas.rep_dim is 7"), std::string::npos);
  EXPECT_NE(refusal_of("group_by_length: true\nshuffle: false").find("group_by_length"), std::string::npos);
  EXPECT_NE(refusal_of("p_mod: {schedule: interleave, shift: 0.5}").find("line 4: p_mod"), std::string::npos);
  EXPECT_NE(refusal_of("p_mod: {by: random, router_lr: 0.5}").find("router_lr"), std::string::npos);
  EXPECT_NE(refusal_of("p_mod: {by: uniform, norm: softmax_2.0_0.5}").find("p_mod.norm"), std::string::npos);
  EXPECT_NE(refusal_of("p_mod: {seed: 3}").find("p_mod.seed"), std::string::npos);
  EXPECT_EQ(refusal_of("p_mod: {by: random, seed: 3}"), "");
  EXPECT_EQ(refusal_of("lora: {adapter_name_or_path: b, lora_dropout: 0.1}"), "");
  EXPECT_NE(refusal_of("lora: {adapter_name_or_path: b, rank: 4}").find("line 4: lora.r is what"), std::string::npos);
  EXPECT_NE(refusal_of("lora: {adapter_name_or_path: out}").find("folder of lora.adapter"), std::string::npos);
  EXPECT_NE(refusal_of("eval_data:\n  - a\n  - {path: b, weight: 2}").find("line 6: eval_data[2].weight"),
            std::string::npos);
  EXPECT_NE(refusal_of("eval_data: {path: b, weight: 2}").find("line 4: eval_data.weight"), std::string::npos);
  for (const char* const inside : {"out/.", "out/tuned", "./out/../out"})
    EXPECT_NE(
        refusal(concat("model_name_or_path: out/\noutput_dir: ", inside, "\ndata: a")).find("folder of the model"),
        std::string::npos)
        << inside;
}

TEST(Recipe, RefusesHostileYaml) {
  EXPECT_EQ(refusal("a: &x [1]\nb: *x"),
            "r.yaml, line 1: anchors (&) and aliases (*) are not read; write the value out.");
  EXPECT_NE(refusal("a: &x [*x]").find("anchors"), std::string::npos);
  EXPECT_NE(refusal(std::string(2000, '[')).find("nested more than"), std::string::npos);
  EXPECT_NE(refusal("a: !!python/object:os.system x").find("the tag"), std::string::npos);
  EXPECT_NE(refusal("a: 1\n---\nb: 2").find("more than one document"), std::string::npos);
  EXPECT_NE(refusal("? [1]\n: 2").find("line 1"), std::string::npos);
  EXPECT_NE(refusal(std::string(300 << 10, '#')).find("bytes"), std::string::npos);
  std::string many = "data: [";
  for (int i = 0; i < 30000; ++i) many += "a,";
  EXPECT_NE(refusal(many + "]").find("more than 20000 values"), std::string::npos);
  EXPECT_NE(refusal("a: \"\x1b[2J").find("r.yaml, line"), std::string::npos);
}

TEST(Recipe, SettingsAreARecipeThatReadsTheSame) {
  for (const char* more :
       {"", "max_steps: 7\nwarmup_steps: 2", "p_mod: {}\nlora: {r: 3}\ntrain: [a, \"!b\"]",
        "p_mod: {schedule: interleave}", "p_mod: {schedule: shiftedcos_decay_0.85_0.15}",
        "lora: {adapter_name_or_path: b}", "eas: {skip: 2, search: {steps: 9}}\nresume_from_checkpoint: true",
        "eas: {skip: [3, 1]}\nreport_to: none",
        "eval_data: [{path: b, columns: {images: pics}}]\nmetric_for_best_model: loss\neval_steps: 5\nlearning_rate: "
        "0.1"}) {
    const Json settings = settings_of(parse(more));
    EXPECT_EQ(settings_of(parse_recipe(settings.dump(2), "again")), settings) << more;
  }
  EXPECT_EQ(settings_of(parse("max_steps: 7"))["max_steps"], 7);
  const Json p_mod = settings_of(parse("p_mod: {floor: 0.25}"))["p_mod"],
             halves = settings_of(parse("p_mod: {schedule: interleave}"))["p_mod"];
  EXPECT_EQ(p_mod["shift"], 0.5);
  EXPECT_EQ(p_mod["untouched_above"], 0.85);
  EXPECT_EQ(p_mod["floor"], 0.25);
  EXPECT_FALSE(p_mod.contains("share"));
  EXPECT_EQ(halves["share"], 0.5);
  EXPECT_FALSE(halves.contains("shift") || halves.contains("floor"));
  EXPECT_FALSE(settings_of(parse("max_steps: 7")).contains("num_train_epochs"));
}

TEST(Recipe, SaysThePlanOfItsMethods) {
  const plan::ModelFacts model = plan::shape_named("llava-1.5-7b");
  EXPECT_TRUE(plan_of(parse(""), {}).is_null());
  const plan::Plan p_mod = plan::parse_plan(plan_of(parse("p_mod: {}"), {}), "recipe", model);
  EXPECT_EQ(p_mod.layers, plan::load_plan("p-mod", model).layers);
  EXPECT_TRUE(plan_of(parse("eas: {skip: 2}"), {}).is_null()) << "not searched yet";
  const plan::Plan both = plan::parse_plan(plan_of(parse("p_mod: {}\neas: {skip: 2}"), {3, 30}), "recipe", model);
  const plan::Plan listed = plan::parse_plan(plan_of(parse("p_mod: {}\neas: {skip: [3, 30]}"), {}), "recipe", model);
  EXPECT_EQ(listed, both);
  int64_t off = 0;
  for (const plan::LayerPlan& layer : both.layers) off += layer.self_attention ? 0 : 1;
  EXPECT_EQ(off, 2);
  EXPECT_EQ(both.layers.size(), p_mod.layers.size() + 1) << "layer 3 is above p-MoD's";
}

// The models and the data that they name are not needed for that.
TEST(Recipe, ShippedOnesAreRead) {
  int64_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(LITHE_SOURCE_DIR "/recipes")) {
    if (entry.path().extension() != ".yaml") continue;
    ++count;
    EXPECT_NO_THROW(read_recipe(entry.path())) << entry.path();
  }
  EXPECT_GE(count, 37);
}

std::string page(const std::string& name = "recipes") {
  std::ifstream in(LITHE_SOURCE_DIR "/docs/" + name + ".md");
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The blocks of YAML of a page that are recipes: what each leaves out of the required keys comes before it.
std::vector<std::string> recipes_on(const std::string& name) {
  const std::string text = page(name), begin = "\n```yaml\n", end = "\n```\n";
  std::vector<std::string> recipes;
  for (std::size_t at = text.find(begin); at != text.npos; at = text.find(begin, at)) {
    at += begin.size();
    std::string block = text.substr(at, text.find(end, at) - at);
    if (block.starts_with("apiVersion:")) continue;  // of Kubernetes
    for (const char* const key : {"model_name_or_path", "output_dir", "data"})
      if (block.find(concat(key, ":")) == block.npos) block = concat(key, ": ", key, "\n", block);
    recipes.push_back(std::move(block));
  }
  return recipes;
}

TEST(Recipe, ThoseOfTheDocsAreRead) {
  std::size_t count = 0;
  for (const char* const name : {"recipes", "tuning", "meter", "tasks", "../README"}) {
    for (const std::string& recipe : recipes_on(name)) {
      ++count;
      EXPECT_EQ(refusal(recipe), "") << name << "\n" << recipe;
    }
  }
  EXPECT_GE(count, 8u);
}

// Both ways: the tables of the page are the tables of the program, whole and in order.
TEST(Recipe, ReferencePageIsTheTable) {
  const std::string text = page();
  const std::string heading = "## Reference\n\n";
  const std::size_t start = text.find(heading);
  ASSERT_NE(start, std::string::npos);
  const std::string right = std::string(testing::TempDir()) + "recipes_reference.md";
  const bool same = text.substr(start + heading.size()) == recipe_help_markdown();
  if (!same) std::ofstream(right) << recipe_help_markdown();
  EXPECT_TRUE(same) << "the reference should read as " << right;
}

TEST(Recipe, HelpNamesEveryKeyOnce) {
  const std::string text = recipe_help_text();
  for (const KeyHelp& key : recipe_help()) {
    EXPECT_FALSE(key.doc.empty() || key.accepted.empty() || key.fallback.empty()) << key.name;
    EXPECT_NE(text.find(key.doc.substr(0, 20)), std::string::npos) << key.name;
  }
}

}  // namespace
}  // namespace lithe::tune
