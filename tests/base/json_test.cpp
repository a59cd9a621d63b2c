#include "base/json.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "base/error.h"
#include "base/json_limits.h"

namespace lithe {
namespace {

std::string refusal(std::string_view text, const JsonLimits& limits = {}) {
  try {
    parse_json(text, "source", limits);
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

TEST(Json, EqualsTheLibrarysOwnParser) {
  for (const char* text :
       {"null", "[]", "{}", "-3", "18446744073709551615", "1.5e3", "\"a\\u00e9\"", "[1, [2, {}], \"\"]",
        R"({"b": [true, false, null], "a": {"x": {"y": 1}}, "": 0})", R"([{"a": 1}, {"a": [{"b": 2}]}])"}) {
    EXPECT_EQ(parse_json(text, "source").dump(), Json::parse(text).dump()) << text;
  }
}

TEST(Json, TheLastValueOfAKeyCounts) {
  const Json json = parse_json(R"({"a": 1, "b": 2, "a": {"c": 3}, "d": 4, "a": 5})", "source");
  EXPECT_EQ(json.dump(), R"({"a":5,"b":2,"d":4})");
  EXPECT_EQ(refusal(R"({"x": {"a": 1, "a": 2}})", {.unique_keys = true}), "source: the key \"a\" stands twice");
}

TEST(Json, SaysWhatIsWrong) {
  EXPECT_EQ(refusal("{\"a\": }"), "source: not valid JSON at byte 7");
  EXPECT_EQ(refusal("1e999"), "source: not valid JSON, a number is out of range");
  EXPECT_EQ(refusal(std::string(200, '[')), "source: JSON is nested deeper than 128 levels");
  EXPECT_EQ(refusal("[[1], 2]", {.max_depth = 1}), "source: JSON is nested deeper than 1 levels");
  EXPECT_EQ(refusal("[1, 2, 3]", {.max_values = 3}), "source: the JSON holds more than 3 values");
}

// With a search for each of them, so many keys took many minutes.
TEST(Json, ReadsKeysByTheHundredThousands) {
  std::string text = "{";
  for (int i = 0; i < 300'000; ++i) text += '"' + std::to_string(i) + R"(": {"x": [1, {}]},)";
  text.back() = '}';
  EXPECT_EQ(parse_json(text, "source").size(), 300'000U);
}

TEST(Json, ReadsRegularFilesOnly) {
  std::string folder = "/tmp/lithe-base-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string file = folder + "/a.json", pipe = folder + "/pipe";
  std::ofstream(file) << "[1, 2]";
  EXPECT_EQ(read_json_file(file).size(), 2U);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& path : {pipe, folder, std::string("/dev/zero")}) {
    try {
      read_json_file(path);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), path + ": is not a regular file");
    }
  }
  EXPECT_THROW(read_json_file(file, 3), Error);
  EXPECT_THROW(read_json_file(folder + "/absent"), Error);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace lithe
