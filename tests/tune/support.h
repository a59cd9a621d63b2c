#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "data/data_set.h"
#include "temporary_folder.h"
#include "tune/recipe.h"
#include "tune/run.h"
#include "tune/step_log.h"

namespace lithe::tune::test {

namespace fs = std::filesystem;

using TempFolder = lithe::test::TemporaryFolder;

/// A case with a training set in LLaVA's form: three samples, two with a picture.
inline fs::path golden(const std::string& name) {
  return fs::path(LITHE_TEST_DATA) / "golden" / name;
}

/// The published p-MoD model with the tower beside it, as its config.json expects.
inline fs::path copy_of_pmod(const TempFolder& folder) {
  fs::copy(golden("pmod_train") / "checkpoint", folder / "checkpoint", fs::copy_options::recursive);
  fs::copy(golden("pmod_train") / "vision_tower", folder / "vision_tower", fs::copy_options::recursive);
  fs::copy(golden("pmod_train") / "vision_tower", folder / "checkpoint/vision_tower", fs::copy_options::recursive);
  return folder / "checkpoint";
}

/// A recipe that tunes a tiny dense model on the three samples.
inline Recipe tiny_recipe(const TempFolder& folder) {
  Recipe recipe;
  recipe.file = "recipe.yaml";
  recipe.model_name_or_path = (golden("liuhaotian_llava15") / "checkpoint").string();
  recipe.output_dir = (folder / "out").string();
  recipe.template_name = "vicuna_v1";
  recipe.data = {{.path = (golden("pmod_train") / "inputs/data.json").string()}};
  recipe.per_device_train_batch_size = 3;
  recipe.max_steps = 6;
  recipe.learning_rate = 1e-3;
  recipe.lr_scheduler_type = LrSchedule::constant;
  recipe.save_steps = 0;
  return recipe;
}

/// A run that is stopped after `step`, before its end.
inline void run_until(const Recipe& recipe, int64_t step) {
  std::stop_source stop;
  RunOptions options{.stop = stop.get_token()};
  options.on_step = [&](const StepReport& report) {
    if (report.step == step) stop.request_stop();
  };
  EXPECT_TRUE(run(recipe, options).stopped);
}

/// Of each step that the run of this recipe logged.
inline std::vector<double> losses(const Recipe& recipe) {
  std::vector<double> losses;
  for (const StepRecord& record : read_step_log(fs::path(recipe.output_dir) / "log.jsonl"))
    losses.push_back(record.loss);
  return losses;
}

/// Records that are numbers. One of them may be bad.
class Numbers : public data::DataSet {
 public:
  Numbers(int64_t first, int64_t count, int64_t bad = -1) : first_(first), count_(count), bad_(bad) {}
  int64_t size() const override { return count_; }
  data::Record read(int64_t i) const override {
    require(first_ + i != bad_, Fault::bad_file, "number ", bad_, " is bad");
    return {.name = std::to_string(first_ + i)};
  }

 private:
  int64_t first_, count_, bad_;
};

/// Of three answers, the share that a tiny model gives.
struct Scores {
  std::optional<double> before, after;
};

/// Before and after it learns them by heart.
inline Scores score_by_heart(Recipe recipe) {
  recipe.eval_data = recipe.data;
  recipe.metric_for_best_model = "exact_match";
  recipe.learning_rate = 1e-2;
  recipe.max_steps = 200;  // 100 are too few for some seeds, and with the rounding of some processors
  Scores scores;
  RunOptions options;
  options.on_evaluation = [&](const Evaluation& evaluation) { scores.after = evaluation.exact_match; };
  run(recipe, options);

  recipe.output_dir += "-untrained";
  recipe.learning_rate = 0;
  recipe.max_steps = 1;
  options.on_evaluation = [&](const Evaluation& evaluation) { scores.before = evaluation.exact_match; };
  run(recipe, options);
  return scores;
}

}  // namespace lithe::tune::test
