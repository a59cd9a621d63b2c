#include "tune/training_state.h"

#include "base/error.h"
#include "base/json.h"
#include "tune/methods.h"
#include "tune/output.h"
#include "tune/run.h"
#include "tune/support.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using test::tiny_recipe;

void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

TEST(TrainingState, RefusesCountsThatNoRunHas) {
  const test::TempFolder folder;
  Recipe recipe = tiny_recipe(folder);
  recipe.max_steps = 1;
  recipe.save_steps = 1;
  run(recipe);
  recipe.resume_from_checkpoint = "";
  recipe.max_steps = 2;
  const fs::path file = fs::path(recipe.output_dir) / "checkpoint-1/training_state.json";
  const Json right = read_json_file(file);
  for (const auto& [key, value] : {std::pair("taken", int64_t{-1}), std::pair("taken", INT64_MAX),
                                   std::pair("skipped", int64_t{99}), std::pair("step", int64_t{-3})}) {
    Json wrong = right;
    wrong[key] = value;
    write(file, wrong.dump());
    EXPECT_THROW(run(recipe), Error) << key << ' ' << value;
  }
  write(file, right.dump());
  EXPECT_EQ(run(recipe).steps, 2);
}

TEST(TrainingState, WhatIsRemovedOrNotWholeLeavesNothing) {
  const test::TempFolder folder;
  const fs::path output = folder / "out";
  write(output / "checkpoint-5/training_state.json", "{}");
  write(output / ".checkpoint-7.part-12/model.safetensors", "half");
  write(output / ".other/file", "stays");
  ASSERT_EQ(checkpoints_in(output).size(), 1u);
  remove(checkpoints_in(output).front());
  remove_parts(output);
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(output)) left.push_back(entry.path().filename().string());
  EXPECT_EQ(left, std::vector<std::string>{".other"});
}

TEST(Output, APlanOfAFormerModelDoesNotStay) {
  const test::TempFolder folder;
  const Recipe recipe = tiny_recipe(folder);
  const ReadyModel ready = ready_model(recipe);
  const fs::path output = recipe.output_dir;
  write(output / "plan.json", "{}");
  put_whole(output, [&](const fs::path& part) { write_tuned_model(*ready.model, ready.plan, recipe, part); });
  EXPECT_TRUE(fs::exists(output / "config.json"));
  EXPECT_FALSE(fs::exists(output / "plan.json"));
}

}  // namespace
}  // namespace lithe::tune
