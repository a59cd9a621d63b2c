#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

// What tests of the shipped recipes have in common: a recipe becomes one of a few small steps by changes to its text,
// so that all other lines are those that are shipped.
namespace lithe::test {

/// The names of the recipes in a folder, without ".yaml", in the order of letters.
std::vector<std::string> recipes_in(const std::filesystem::path& folder);

/// Every match of `pattern` becomes `text`; there must be `count` of them, or as many as there are if it is negative.
void replace(std::string& recipe, const std::string& pattern, const std::string& text, int count = -1);

/// Steps of a short recipe.
inline constexpr int64_t kSteps = 2;

/// Batches of two samples, two of them in a step, and `steps` steps in the place of epochs.
void shorten(std::string& recipe, int64_t steps);

/// A log.jsonl of so many steps, whose losses and gradients are finite.
void expect_finite_log(const std::filesystem::path& file, int64_t steps);

/// "llava-1.5-7b" -> "llava_1_5_7b"
std::string test_name(const ::testing::TestParamInfo<std::string>& info);

}  // namespace lithe::test
