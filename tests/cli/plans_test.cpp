#include <gtest/gtest.h>
#include <fstream>

#include "base/json.h"
#include "cli/program.h"
#include "plan/parse.h"

namespace lithe::cli {
namespace {

TEST(Plans, ListsEachWithWhatItCosts) {
  const Ran ran = lithe({"plans"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const std::string& name : plan::builtin_plan_names())
    EXPECT_NE(ran.out.find("\n" + name + "\n"), std::string::npos);
  EXPECT_NE(ran.out.find("llava-1.5-7b, 576 vision tokens, 40 text tokens"), std::string::npos) << ran.out;
  const Json json = parse_json(lithe({"plans", "--json"}).out, "stdout");
  ASSERT_EQ(json.at("plans").size(), plan::builtin_plan_names().size());
  for (const Json& entry : json.at("plans")) {
    if (entry.at("name") == "dense") {
      EXPECT_EQ(entry.at("counted_share"), 1.0);
    }
    if (entry.at("name") == "p-mod") {
      EXPECT_TRUE(entry.at("needs_training").get<bool>());
      EXPECT_NEAR(entry.at("counted_share").get<double>(), 4.96 / 8.47, 0.002);
    }
  }
}

TEST(Plans, CountsTheBytesOfTheCacheThatIsNamed) {
  const auto bytes = [](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"plans", "fastv", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Json cost = parse_json(lithe(arguments).out, "stdout").at("cost");
    return std::pair(cost.at("total").at("kv_bytes").get<int64_t>(), cost.at("dense").at("kv_bytes").get<int64_t>());
  };
  const auto [plan, dense] = bytes({});
  EXPECT_EQ(dense, 32 * 616 * 2 * 4096 * 4);  // layers, tokens, keys and values, width, bytes
  EXPECT_LT(plan, dense);
  EXPECT_EQ(bytes({"--kv", "float32"}), std::pair(plan, dense));
  EXPECT_EQ(bytes({"--kv", "bfloat16"}), std::pair(plan / 2, dense / 2));
  EXPECT_LT(bytes({"--kv", "int8"}).second, dense / 3);
  EXPECT_NE(lithe({"plans", "dense", "--kv", "bfloat16"}).out, lithe({"plans", "dense"}).out);
  const Ran wrong = lithe({"plans", "fastv", "--kv", "bfloat"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("--kv is \"bfloat\"; give"), std::string::npos) << wrong.err;
}

TEST(Plans, PrintsOneOfAnyShape) {
  const Ran ran = lithe({"plans", "p-mod", "--shape", "llava-next-7b", "--vision-tokens", "2880"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const char* words :
       {"weights trained with p-MoD, with routers", "2304 high resolution", "vision kept", "KV cache"})
    EXPECT_NE(ran.out.find(words), std::string::npos) << ran.out;
  const auto file = scratch() / "own-plan.json";
  std::ofstream(file) << R"({"method": "fastv", "name": "mine", "keep_share": 0.25})";
  EXPECT_NE(lithe({"plans", file.string()}).out.find("plan     mine"), std::string::npos);
  EXPECT_EQ(lithe({"plans", "--shape", "llava-9"}).code, 2);
  EXPECT_EQ(lithe({"plans", "no-such.json"}).code, 2);
}

}  // namespace
}  // namespace lithe::cli
