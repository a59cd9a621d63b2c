#include "tune/step_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>

#include "base/error.h"

namespace lithe::tune {
namespace {

class StepLogTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::remove_all(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string text() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void append(const std::string& text) const { std::ofstream(path_, std::ios::app | std::ios::binary) << text; }

  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) /
      (std::string("step_log_") + testing::UnitTest::GetInstance()->current_test_info()->name());
  const std::filesystem::path path_ = folder_ / "log.jsonl";
};

StepRecord record(int64_t step) {
  return {.step = step,
          .loss = 1.0 / 3 / static_cast<double>(step),
          .grad_norm = 0.1,
          .lr = 2e-5,
          .tokens = 640,
          .seconds = 0.25};
}

TEST_F(StepLogTest, ALineHasTheKeysInOrder) {
  StepRecord one = record(3);
  one.loss = 0.5;
  one.more["kept_share"] = 0.54;
  EXPECT_EQ(line_of(one),
            R"({"step":3,"loss":0.5,"grad_norm":0.1,"lr":2e-05,"tokens":640,"seconds":0.25,"kept_share":0.54})");
}

TEST_F(StepLogTest, ReadsBackEveryBit) {
  {
    StepLog log(path_, 0);
    for (int64_t step = 1; step <= 3; ++step) {
      log.write(record(step));
      const std::string so_far = text();
      EXPECT_EQ(std::count(so_far.begin(), so_far.end(), '\n'), step) << "a line is there once it is written";
    }
  }
  const std::vector<StepRecord> back = read_step_log(path_);
  ASSERT_EQ(back.size(), 3u);
  for (int64_t step = 1; step <= 3; ++step) {
    EXPECT_EQ(back[static_cast<std::size_t>(step - 1)].step, step);
    EXPECT_EQ(back[static_cast<std::size_t>(step - 1)].loss, record(step).loss);
    EXPECT_TRUE(back[static_cast<std::size_t>(step - 1)].more.empty());
  }
}

TEST_F(StepLogTest, ResumingKeepsTheStepsOfTheCheckpoint) {
  {
    StepLog log(path_, 0);
    for (int64_t step = 1; step <= 5; ++step) log.write(record(step));
  }
  append("{\"step\":6,\"lo");  // a kill in the middle of a line
  {
    StepLog log(path_, 2);
    log.write(record(3));
  }
  std::string expected;
  for (int64_t step = 1; step <= 3; ++step) expected += line_of(record(step)) + "\n";
  EXPECT_EQ(text(), expected);
  { StepLog log(path_, 0); }
  EXPECT_EQ(text(), "") << "a run that starts anew";
}

TEST_F(StepLogTest, WhatIsNotFiniteBecomesNull) {
  StepRecord one = record(1);
  one.loss = std::numeric_limits<double>::infinity();
  {
    StepLog log(path_, 0);
    log.write(one);
  }
  EXPECT_NE(text().find("\"loss\":null"), std::string::npos);
  EXPECT_TRUE(std::isnan(read_step_log(path_)[0].loss));
}

TEST_F(StepLogTest, RefusesWhatIsNotARecord) {
  {
    StepLog log(path_, 0);
    log.write(record(1));
  }
  append("{\"step\": \"x\"}\n");
  try {
    read_step_log(path_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("log.jsonl: line 2"), std::string::npos) << error.what();
  }
  EXPECT_THROW(read_step_log(folder_ / "none"), Error);
}

}  // namespace
}  // namespace lithe::tune
