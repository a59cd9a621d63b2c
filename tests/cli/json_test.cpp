// Every key that --json prints is in docs/json.md, and every key there is printed.
#include <gtest/gtest.h>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "base/json.h"
#include "cli/program.h"
#include "temporary_folder.h"

namespace lithe::cli {
namespace {

const std::string kGolden = LITHE_TEST_DATA "/golden";

using Keys = std::set<std::string>;

/// "tests[].median_ms": where values stand. What is below a key of `leaves` is described elsewhere.
void collect(const Json& value, const std::string& path, const Keys& leaves, Keys& keys) {
  if (leaves.count(path) == 0) {
    if (value.is_object()) {
      for (const auto& item : value.items())
        collect(item.value(), path.empty() ? item.key() : path + "." + item.key(), leaves, keys);
      return;
    }
    if (value.is_array() && !value.empty() && value.front().is_object()) {
      for (const Json& item : value) collect(item, path + "[]", leaves, keys);
      return;
    }
  }
  keys.insert(path);
}

Keys keys_of(const Json& value, const Keys& leaves) {
  Keys keys;
  collect(value, "", leaves, keys);
  return keys;
}

/// The keys in the first column of the tables below a heading, by the header of the table.
std::map<std::string, Keys> documented(const std::string& heading) {
  std::ifstream page(LITHE_SOURCE_DIR "/docs/json.md");
  std::map<std::string, Keys> tables;
  bool inside = false;
  std::string table;
  const std::regex key("`([^`]+)`");
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("#")) inside = line == heading;
    if (!inside || !line.starts_with("| ")) continue;
    const std::string cell = line.substr(2, line.find(" |", 2) - 2);
    if (cell.starts_with("key")) {
      table = cell;
      continue;
    }
    for (auto it = std::sregex_iterator(cell.begin(), cell.end(), key); it != std::sregex_iterator(); ++it)
      tables[table].insert((*it)[1]);
  }
  return tables;
}

Json printed(const std::vector<std::string>& arguments, const std::string& schema) {
  const Ran ran = lithe(arguments);
  EXPECT_EQ(ran.code, 0) << ran.err;
  const Json json = parse_json(ran.out, "stdout");
  EXPECT_EQ(json.begin().key(), "schema");
  EXPECT_EQ(json.at("schema"), schema);
  return json;
}

const Keys& cost_keys() {
  static const Keys keys = documented("### The cost of a plan")["key of `cost`"];
  return keys;
}

TEST(JsonPage, Run) {
  const Json json = printed({"run", "demo", "--json", "--image", kPicture, "-n", "2", "hi"}, "lithe-run/1");
  EXPECT_EQ(keys_of(json, {}), documented("## lithe run")["key"]);
}

TEST(JsonPage, Batch) {
  const auto in = scratch() / "json.jsonl", out = scratch() / "json-out.jsonl";
  std::ofstream(in) << R"({"id": 1, "prompt": "hi"})"
                    << "\n{\n";
  const Json json = printed({"batch", "demo", in.string(), "-o", out.string(), "--json"}, "lithe-batch/1");
  EXPECT_EQ(keys_of(json, {}), documented("## lithe batch")["key"]);
}

/// The first questions of a benchmark of the hub, answered into a folder of this name.
Json evaluated(const std::string& task, const std::string& name, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"eval",  "demo", "--task",  task, "--data", LITHE_TEST_DATA "/benchmarks/" + task,
                                     "-n",    "2",    "--limit", "3",  "-o",     (scratch() / name).string(),
                                     "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return printed(arguments, "lithe-eval/1");
}

TEST(JsonPage, Eval) {
  Keys keys = keys_of(evaluated("gqa", "json-gqa"), {"settings"});
  keys.merge(keys_of(evaluated("mme", "json-mme"), {"settings"}));  // half a pair
  keys.insert("judge");                                             // there is none
  const auto data = scratch() / "json-needed.jsonl";
  std::filesystem::copy_file(kPicture, scratch() / "901.png", std::filesystem::copy_options::overwrite_existing);
  std::ofstream(data) << R"({"image": "901.png", "needed": [1], "question": "What?", "answer": "Red."})"
                      << "\n";
  const std::string out = (scratch() / "json-needed").string();
  keys.merge(keys_of(
      printed({"eval", "demo", "--task", "exact_match", "--data", data.string(), "-o", out, "--json"}, "lithe-eval/1"),
      {"settings"}));
  EXPECT_EQ(keys, documented("## lithe eval")["key"]);
}

TEST(JsonPage, Compare) {
  evaluated("gqa", "json-a");
  evaluated("gqa", "json-b", {"--plan", "dense"});
  const Json json = printed({"compare", (scratch() / "json-a").string(), (scratch() / "json-b").string(), "--json"},
                            "lithe-compare/1");
  EXPECT_EQ(keys_of(json, {}), documented("## lithe compare")["key"]);
}

TEST(JsonPage, Inspect) {
  const test::TemporaryFolder cache;  // of the speeds that --times measures
  ::setenv("XDG_CACHE_HOME", cache.path().c_str(), 1);
  Keys keys;
  for (const std::vector<std::string>& subject :
       std::vector<std::vector<std::string>>{{"demo", "--times"},
                                             {"--shape", "llava-next-7b"},
                                             {"--shape", "lavin-7b", "--plan", "eas-12"},
                                             {kGolden + "/hf_llava15/checkpoint", "--lora", LITHE_TEST_DATA "/lora/hf"},
                                             {LITHE_TEST_DATA "/gguf/llava15"},
                                             {kGolden + "/hf_llavanext/checkpoint"}}) {
    std::vector<std::string> arguments = {"inspect", "--json"};
    arguments.insert(arguments.end(), subject.begin(), subject.end());
    const Json json = printed(arguments, "lithe-inspect/1");
    keys.merge(keys_of(json, {"cost", "expanded_plan"}));
    EXPECT_EQ(keys_of(json.at("cost"), {}), cost_keys());
  }
  ::unsetenv("XDG_CACHE_HOME");
  keys.insert("decoder.sliding_window");  // no small model has one
  EXPECT_EQ(keys, documented("## lithe inspect")["key"]);
}

TEST(JsonPage, Plans) {
  Keys keys = keys_of(printed({"plans", "--json"}, "lithe-plans/1"), {});
  const Json one = printed({"plans", "fastv", "--json"}, "lithe-plans/1");
  EXPECT_EQ(one.at("expanded_plan").at("format"), "lithe-plan/1");
  EXPECT_EQ(keys_of(one.at("cost"), {}), cost_keys());
  keys.merge(keys_of(one, {"cost", "expanded_plan"}));
  EXPECT_EQ(keys, documented("## lithe plans")["key"]);
}

TEST(JsonPage, Bench) {
  const Json json = printed({"bench", "demo", "-r", "1", "--warm-up", "0", "--json"}, "lithe-bench/1");
  const auto tables = documented("## lithe bench");
  EXPECT_EQ(keys_of(json, {"tests"}), tables.at("key"));
  Keys tests;
  for (const Json& test : json.at("tests")) tests.merge(keys_of(test, {}));
  EXPECT_EQ(tests, tables.at("key of `tests[]`"));
}

TEST(JsonPage, Demo) {
  const auto map = scratch() / "json-demo.png";
  const Json json = printed({"demo", "--no-wide", "--json", "--heat-map", map.string()}, "lithe-demo/1");
  Keys keys = keys_of(json, {"questions[].dense", "questions[].p_mod"});
  keys.insert("wide");  // takes minutes: the same function as bench's
  EXPECT_EQ(keys, documented("## lithe demo")["key"]);
  Keys answer = documented("## lithe run")["key"];
  for (const char* key : {"schema", "model", "family", "plan"}) answer.erase(key);
  EXPECT_EQ(keys_of(json.at("questions").at(0).at("p_mod"), {}), answer);
}

TEST(JsonPage, FoldAndConvert) {
  const std::string folded = (scratch() / "json-folded").string(), converted = (scratch() / "json-converted").string();
  const Json fold = printed({"fold", kGolden + "/llava_eas/checkpoint", "-o", folded, "--json"}, "lithe-fold/1");
  EXPECT_EQ(keys_of(fold, {}), documented("## lithe fold")["key"]);
  const Json convert = printed({"convert", "demo", "-o", converted, "--json"}, "lithe-convert/1");
  EXPECT_EQ(keys_of(convert, {}), documented("## lithe convert")["key"]);
  const std::string quantised = (scratch() / "json-quantised").string();
  const Json quantize =
      printed({"quantize", "demo", "--weights", "int4", "-o", quantised, "--json"}, "lithe-quantize/1");
  EXPECT_EQ(keys_of(quantize, {}), documented("## lithe quantize")["key"]);
}

TEST(JsonPage, Search) {
  const auto out = scratch() / "json-search";
  const Json json =
      printed({"search", kGolden + "/liuhaotian_llava15/checkpoint", "--data", kGolden + "/pmod_train/inputs/data.json",
               "--skip", "1", "--steps", "2", "-o", out.string(), "--json"},
              "lithe-search/1");
  EXPECT_EQ(keys_of(json, {}), documented("## lithe search")["key"]);
}

TEST(JsonPage, SearchUnderABudget) {
  const std::string data = (scratch() / "json-budget.jsonl").string();
  std::filesystem::copy_file(kPicture, scratch() / "901.png", std::filesystem::copy_options::overwrite_existing);
  std::ofstream(data) << R"({"image": "901.png", "question": "is there a circle?", "answer": "No."})"
                      << "\n";
  const Json json = printed({"search", "demo-dense", "--data", data, "--eval-data", data, "--budget", "0.6", "-o",
                             (scratch() / "json-budget").string(), "--json"},
                            "lithe-search-plan/1");
  EXPECT_EQ(keys_of(json, {}), documented("## lithe search")["key of a search under a budget"]);
}

// Times, sizes and shares say so at their end.
TEST(JsonPage, NamesEndInTheirUnit) {
  std::ifstream page(LITHE_SOURCE_DIR "/docs/json.md");
  const std::string text((std::istreambuf_iterator<char>(page)), {});
  const std::regex wrong("`[a-z_.\\[\\]]*(seconds|_time|_size|bytes_[a-z]+|ms_[a-z]+|_percent)`");
  for (auto it = std::sregex_iterator(text.begin(), text.end(), wrong); it != std::sregex_iterator(); ++it) {
    const std::string name = it->str();
    EXPECT_TRUE(name == "`elapsed_ms`" || name.ends_with("bytes_at_end`") || name.ends_with("bytes_before`")) << name;
  }
}

}  // namespace
}  // namespace lithe::cli
