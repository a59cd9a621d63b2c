#include "recipes/short_recipe.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>
#include <regex>

#include "tune/step_log.h"

namespace lithe::test {

namespace fs = std::filesystem;

std::vector<std::string> recipes_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

void replace(std::string& recipe, const std::string& pattern, const std::string& text, int count) {
  const std::regex regex(pattern, std::regex::multiline);
  const auto found = std::distance(std::sregex_iterator(recipe.begin(), recipe.end(), regex), std::sregex_iterator());
  if (count >= 0) {
    EXPECT_EQ(found, count) << pattern;
  }
  recipe = std::regex_replace(recipe, regex, text);
}

void shorten(std::string& recipe, int64_t steps) {
  replace(recipe, "^per_device_train_batch_size: [0-9]+", "per_device_train_batch_size: 2", 1);
  replace(recipe, "^gradient_accumulation_steps: [0-9]+", "gradient_accumulation_steps: 2", 1);
  replace(recipe, "^num_train_epochs: [0-9]+", "max_steps: " + std::to_string(steps), 1);
}

void expect_finite_log(const fs::path& file, int64_t steps) {
  const std::vector<tune::StepRecord> log = tune::read_step_log(file);
  EXPECT_EQ(log.size(), static_cast<size_t>(steps)) << file;
  for (const tune::StepRecord& record : log) {
    EXPECT_TRUE(std::isfinite(record.loss)) << file << " " << record.step;
    EXPECT_TRUE(std::isfinite(record.grad_norm)) << file << " " << record.step;
  }
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

}  // namespace lithe::test
