#include "eval/shard.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "sentence_of.h"

namespace lithe::eval {
namespace {

using test::sentence_of;

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// Variables of the environment, for as long as this lives.
class Variables {
 public:
  explicit Variables(Pairs values) : values_(std::move(values)) {
    for (const auto& [name, value] : values_) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Variables() {
    for (const auto& [name, value] : values_) ::unsetenv(name.c_str());
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  Pairs values_;
};

TEST(Shard, IsEveryNthQuestion) {
  const Shard shard = parse_shard("1/3");
  EXPECT_EQ(shard, (Shard{1, 3}));
  EXPECT_TRUE(shard.has(1) && shard.has(4));
  EXPECT_FALSE(shard.has(0) || shard.has(2));
  EXPECT_EQ(text_of(shard), "1/3");
  EXPECT_EQ(name_of(shard), "shard-1-of-3");
  EXPECT_TRUE(parse_shard("0/1").is_whole());
}

TEST(Shard, OtherTextsAreRefused) {
  for (const char* text : {"", "1", "3/3", "-1/3", "0/0", "a/b", "1/3x", "1/", "/2", "0/9999999999"})
    EXPECT_NE(sentence_of([&] { parse_shard(text); }).find("is not a shard"), std::string::npos) << text;
}

TEST(Shard, TheLauncherTellsIt) {
  const std::string nothing = sentence_of([] { parse_shard("auto"); });
  EXPECT_NE(nothing.find("finds neither"), std::string::npos) << nothing;
  {
    const Variables torchrun{Pairs{{"RANK", "2"}, {"WORLD_SIZE", "4"}}};
    EXPECT_EQ(parse_shard("auto"), (Shard{2, 4}));
    const Variables slurm{Pairs{{"SLURM_ARRAY_TASK_ID", "3"}, {"SLURM_ARRAY_TASK_COUNT", "8"}}};
    EXPECT_EQ(parse_shard("auto"), (Shard{3, 8}));
    const Variables from_one{Pairs{{"SLURM_ARRAY_TASK_MIN", "1"}}};
    EXPECT_EQ(parse_shard("auto"), (Shard{2, 8}));
  }
  {
    const Variables mpirun{Pairs{{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "3"}}};
    EXPECT_EQ(parse_shard("auto"), (Shard{1, 3}));
  }
  {
    const Variables srun{Pairs{{"SLURM_PROCID", "5"}, {"SLURM_STEP_NUM_TASKS", "6"}}};
    EXPECT_EQ(parse_shard("auto"), (Shard{5, 6}));
  }
  {
    const Variables half{Pairs{{"WORLD_SIZE", "4"}}};
    EXPECT_NE(sentence_of([] { parse_shard("auto"); }).find("in the variable RANK"), std::string::npos);
  }
  const Variables odd{Pairs{{"RANK", "4"}, {"WORLD_SIZE", "4"}}};
  EXPECT_NE(sentence_of([] { parse_shard("auto"); }).find("is not a shard"), std::string::npos);
}

}  // namespace
}  // namespace lithe::eval
