#include "plan/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "plan/parse.h"

namespace lithe::plan {
namespace {

std::string inspect(const std::string& plan, const std::string& shape, int64_t vision, int64_t text) {
  const ModelFacts model = shape_named(shape);
  return render_inspect(model, cost(load_plan(plan, model), model, prompt_of(model, vision, text)));
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> result;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) result.push_back(line);
  return result;
}

/// The words of the line that begins with `name`.
std::vector<std::string> row(const std::string& text, const std::string& name) {
  for (const std::string& line : lines(text)) {
    if (!line.starts_with(name)) continue;
    std::istringstream in(line.substr(name.size()));
    return {std::istream_iterator<std::string>(in), {}};
  }
  return {};
}

TEST(Table, FitsATerminal) {
  for (const std::string& name : builtin_plan_names()) {
    for (const int64_t vision : {int64_t{0}, int64_t{576}, int64_t{2880}, int64_t{200000}}) {
      for (const std::string& line : lines(inspect(name, "llava-next-7b", vision, 40)))
        EXPECT_LE(line.size(), 100u) << line;
    }
  }
}

TEST(Table, MergesEqualLayers) {
  const std::string text = inspect("p-mod", "llava-1.5-7b", 576, 40);
  EXPECT_EQ(row(text, "0-7 "), (std::vector<std::string>{"on", "576", "of", "576", "616", "616", "252", "G", "100.0",
                                                         "%", "9.62", "MiB", "100.0", "%"}));
  EXPECT_EQ(row(text, "24-31 ").at(1), "86");
  EXPECT_EQ(row(text, "23 ").at(1), "89");
  EXPECT_EQ(row(inspect("eas", "llava-1.5-7b", 576, 40), "20-31 ").at(0), "off");
}

TEST(Table, ShowsTotalsBesideDense) {
  const std::string text = inspect("p-mod", "llava-next-7b", 2880, 40);
  EXPECT_EQ(row(text, "total FLOPs"), (std::vector<std::string>{"23.4", "T", "42.0", "T", "55.8", "%"}));
  EXPECT_EQ(row(text, "KV vision tokens"), (std::vector<std::string>{"49528", "92160", "53.7", "%"}));
}

TEST(Table, SpeaksJson) {
  const ModelFacts model = shape_named("llava-1.5-7b");
  const CostTable table = cost(load_plan("p-mod", model), model, prompt_of(model, 576, 40));
  const Json json = to_json(table);
  EXPECT_EQ(json["plan"], "p-mod");
  EXPECT_EQ(json["prompt"]["vision_tokens"], 576);
  ASSERT_EQ(json["layers"].size(), 32u) << "unmerged";
  EXPECT_EQ(json["layers"][31]["kept_vision_tokens"], 86);
  EXPECT_EQ(json["tower"].size(), 23u);
  EXPECT_EQ(json["total"]["flops"].get<double>(), table.total.flops);
  EXPECT_EQ(json["dense"]["kv_bytes"].get<int64_t>(), table.dense.kv_bytes);
}

}  // namespace
}  // namespace lithe::plan
