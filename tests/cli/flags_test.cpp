#include <gtest/gtest.h>
#include <algorithm>
#include <regex>

#include "base/error.h"
#include "base/suggestion.h"
#include "cli/number.h"
#include "cli/program.h"

namespace lithe::cli {
namespace {

TEST(Numbers, WholeOnesAreDecimalDigitsInRange) {
  EXPECT_EQ(whole_number("0", "-n", int64_t{0}, int64_t{9}), 0);
  EXPECT_EQ(whole_number("-5", "-n", int64_t{-9}, int64_t{9}), -5);
  EXPECT_EQ(whole_number("010", "-n", int64_t{0}, int64_t{99}), 10);
  EXPECT_EQ(whole_number("18446744073709551615", "--seed", uint64_t{0}, UINT64_MAX), UINT64_MAX);
  for (const char* text :
       {"18446744073709551616", "-1", "", " 1", "1 ", "+1", "1e3", "0x10", "1.0", "one", "1,2", "1\n"})
    EXPECT_THROW(whole_number(text, "--seed", uint64_t{0}, UINT64_MAX), Error) << text;
  EXPECT_THROW(whole_number("100000000000000000000", "--top-k", int64_t{0}, kMostCount), Error);
  EXPECT_THROW(whole_number("10", "-n", int64_t{0}, int64_t{9}), Error);
}

TEST(Numbers, DecimalOnesAreFiniteAndInRange) {
  const DecimalFlag temperature{.names = "--temp", .what = "", .highest = 1000};
  const auto read = [&](const char* text) { return decimal_number(text, temperature, "--temp"); };
  EXPECT_DOUBLE_EQ(read("0.7"), 0.7);
  EXPECT_DOUBLE_EQ(read(".5"), 0.5);
  EXPECT_DOUBLE_EQ(read("1e-3"), 1e-3);
  EXPECT_DOUBLE_EQ(read("1e-308"), 1e-308);
  EXPECT_DOUBLE_EQ(read("1e-999"), 0);
  EXPECT_DOUBLE_EQ(read("1000"), 1000);
  for (const char* text :
       {"", " ", "nan", "inf", "-inf", "infinity", "1e999", "1e308", "-0.1", "0x1", "+1", "1 ", " 1", "0,5", "1e", "."})
    EXPECT_THROW(read(text), Error) << text;
  const DecimalFlag share{.names = "--top-p", .what = "", .above_lowest = true};
  EXPECT_THROW(decimal_number("0", share, "--top-p"), Error);
  EXPECT_DOUBLE_EQ(decimal_number("1", share, "--top-p"), 1);
}

TEST(Suggestions, AreFewEditsAway) {
  const std::vector<std::string> names = {"--temp", "--top-k", "--heat-map", "--max-tokens", "-n"};
  EXPECT_EQ(closest_name("--tmp", names), "--temp");
  EXPECT_EQ(closest_name("--tepm", names), "--temp");
  EXPECT_EQ(closest_name("--temperature", names), "--temp");
  EXPECT_EQ(closest_name("--heat", names), "--heat-map");
  EXPECT_EQ(closest_name("--max_tokens", names), "--max-tokens");
  EXPECT_EQ(closest_name("--topk", names), "--top-k");
  EXPECT_EQ(closest_name("--colour", names), "");
  EXPECT_EQ(closest_name(std::string(1000, '-'), names), "");
  EXPECT_EQ(closest_name("x", {}), "");
}

void expect_refusal(const std::vector<std::string>& arguments, const std::string& words) {
  const Ran ran = lithe(arguments);
  EXPECT_EQ(ran.code, 2) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_NE(ran.err.find(words), std::string::npos) << ran.err;
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
}

TEST(Flags, WrongNumbersAreNamedWithTheirRange) {
  const auto run = [](const std::string& flag, const std::string& value, const std::string& words) {
    expect_refusal({"run", "demo", "x", flag, value}, words);
  };
  run("--seed", "18446744073709551616",
      "--seed is \"18446744073709551616\"; give a whole number from 0 to 18446744073709551615.");
  run("--seed", "-1", "--seed is \"-1\"");
  run("--top-k", "100000000000000000000", "from 0 to 1000000000");
  run("--temp", "", "--temp is \"\"; give a number from 0 to 1000.");
  run("--temp", "nan", "--temp is \"nan\"");
  expect_refusal({"run", "demo", "--temp=", "x"}, "--temp is \"\"; give a number from 0 to 1000.");
  run("-n", "1e3", "--max-tokens is \"1e3\"; give a whole number from 1 to");
  run("--threads", "1.5", "--threads is \"1.5\"; give a whole number from 1 to 1024.");
  run("--top-p", "0", "above 0 and at most 1");
  expect_refusal({"bench", "demo", "--batch-sizes", "1,,4"}, "--batch-sizes is \"\"");
  expect_refusal({"bench", "demo", "-r", "0"}, "--rounds is \"0\"");
  expect_refusal({"inspect", "demo", "--text-tokens", "9999999999999999999"}, "--text-tokens");
  expect_refusal({"inspect", "demo", "--kv-bytes-per-value", "3"}, "give 4 (float32), 2 (bfloat16, float16) or 1");
  expect_refusal({"batch", "demo", "a", "-o", "b", "--memory", "nan"}, "--memory is \"nan\"; give a number above 0");
  expect_refusal({"serve", "demo", "--port", "65536"}, "--port is \"65536\"; give a whole number from 0 to 65535");
  expect_refusal({"serve", "demo", "--log", "all"}, "--log is \"all\"; give json or off");
  expect_refusal({"serve", "demo", "--host", "nowhere"}, "--host is \"nowhere\"; give an address");
  expect_refusal({"serve", "demo", "--allowed-host", "x.org:80"}, "--allowed-host is \"x.org:80\"; give a name");
  expect_refusal({"serve", "demo", "--api-key", ""}, "--api-key is empty; give a key, or leave it out");
  expect_refusal({"serve", "demo", "--request-timeout", "0"}, "--request-timeout is \"0\"; give a number above 0");
  expect_refusal({"serve", "demo", "--tls-cert", "a.pem"}, "--tls-cert and --tls-key belong together");
}

TEST(Flags, MisspeltOnesGetASuggestionAndTheRightHelp) {
  expect_refusal({"run", "demo", "x", "--tmp", "1"},
                 "run has no flag \"--tmp\"; did you mean --temp? See `lithe run --help`.");
  expect_refusal({"run", "demo", "x", "--bogus=3"}, "run has no flag \"--bogus\". See `lithe run --help`.");
  expect_refusal({"bench", "demo", "--round", "3"}, "did you mean --rounds? See `lithe bench --help`.");
  expect_refusal({"rnu", "demo"}, "There is no command \"rnu\"; did you mean run? `lithe help` lists them.");
  expect_refusal({"--no-such"}, "lithe has no flag \"--no-such\". See `lithe --help`.");
  expect_refusal({"--temp", "1", "run", "demo", "x"}, "--temp is a flag of `lithe run`; write it after");
  expect_refusal({"run", "demo", "what", "is", "it?"}, "put a text of several words in quotes");
  expect_refusal({"run", "demo", "-what is it?"}, "if it is text, write -- before it");
  expect_refusal({"run"}, "run needs MODEL. See `lithe run --help`.");
  expect_refusal({"run", "demo", "x", "--temp"}, "--temp needs a value.");
  expect_refusal({"run", "demo", "x", "--temp", "1", "--temp", "2"}, "--temp is given twice; give it once.");
  expect_refusal({"run", "demo", "x", "--json=3"}, "--json takes no value.");
  expect_refusal({"help", "rnu"}, "did you mean run?");
  expect_refusal({"run", "demo", "--plan", "fastb", "x"}, "no plan or file is called 'fastb'; did you mean fastv?");
  expect_refusal({"run", "demo", "--plan", "/dev/null", "x"}, "'/dev/null' is not a regular file; give a JSON file");
  expect_refusal({"plans", "fastb"}, "There is no plan \"fastb\"; did you mean fastv?");
}

TEST(Help, OfACommandIsThatOfItsFlag) {
  const Ran list = lithe({"help"});
  EXPECT_EQ(list.code, 0);
  EXPECT_EQ(list.out, lithe({"--help"}).out);
  for (const char* command : {"run", "plans", "help"}) {
    const Ran ran = lithe({"help", command});
    EXPECT_EQ(ran.code, 0);
    EXPECT_EQ(ran.out, lithe({command, "--help"}).out) << command;
  }
}

TEST(Help, OfRecipesListsTheirKeys) {
  const Ran ran = lithe({"help", "recipe"});
  EXPECT_EQ(ran.code, 0);
  for (const char* line :
       {"Keys of a recipe:", "Keys of eas.search:", "\n  learning_rate  (a number from 0 to 10; default: 5e-05)"})
    EXPECT_NE(ran.out.find(line), std::string::npos) << line;
}

}  // namespace
}  // namespace lithe::cli
