#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/json.h"
#include "image/decode.h"
#include "io/safetensors.h"
#include "session/session.h"
#include "session/trace.h"

namespace lithe::session {
namespace {

const std::filesystem::path kModels = LITHE_SOURCE_DIR "/models";

std::vector<Json> lines_of(const char* file) {
  std::ifstream in(kModels / file);
  std::vector<Json> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(parse_json(line, file));
  return lines;
}

Request ask(const Session& session, const std::string& image, const std::string& question) {
  Request request;
  request.messages = {
      {.role = "user",
       .parts = {{.kind = text::Part::Kind::image, .text = {}}, {.kind = text::Part::Kind::text, .text = question}}}};
  request.images = {image::read_image(kModels / image, session.decode_options())};
  return request;
}

// Tokens exactly, the winning logits to 1e-3, on every line.
void expect_answers(const char* folder, const char* key) {
  Session session = Session::open(kModels / folder);
  const std::vector<Json> lines = lines_of("answers.jsonl");
  ASSERT_EQ(lines.size(), 1000U);
  for (const Json& line : lines) {
    SCOPED_TRACE(line.at("image").get<std::string>() + " " + line.at("question").get<std::string>());
    const Json& expected = line.at(key);
    const Answer answer = session.answer(ask(session, line.at("image"), line.at("question")), {.max_new_tokens = 16});
    EXPECT_EQ(answer.tokens, expected.at("token_ids").get<std::vector<int64_t>>());
    EXPECT_EQ(answer.text, expected.at("answer").get<std::string>());
    EXPECT_EQ(answer.stop, StopReason::eos);
    const auto logits = expected.at("top1_logits").get<std::vector<double>>();
    ASSERT_EQ(answer.token_logits.size(), logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(answer.token_logits[i], logits[i], 1e-3);
  }
}

TEST(DemoAnswers, Dense) {
  expect_answers("easyvqa-dense", "dense");
}
TEST(DemoAnswers, PMod) {
  expect_answers("easyvqa-pmod", "pmod");
}

// With a bfloat16 cache: the same tokens on at least 99.5 % of the lines. Every fifth line here; for all of them, see
// docs/performance.md.
TEST(DemoAnswers, WithABfloat16Cache) {
  for (const auto& [folder, key] : {std::pair("easyvqa-dense", "dense"), std::pair("easyvqa-pmod", "pmod")}) {
    Session session = Session::open(kModels / folder, {.kv = "bfloat16"});
    Session wide = Session::open(kModels / folder);
    const std::vector<Json> lines = lines_of("answers.jsonl");
    std::size_t asked = 0, same = 0;
    for (std::size_t i = 0; i < lines.size(); i += 5) {
      const Request request = ask(session, lines[i].at("image"), lines[i].at("question"));
      const Answer answer = session.answer(request, {.max_new_tokens = 16});
      ++asked;
      same += answer.tokens == lines[i].at(key).at("token_ids").get<std::vector<int64_t>>() ? 1 : 0;
      if (i > 0) continue;
      const Answer exact = wide.answer(request, {.max_new_tokens = 16});
      EXPECT_EQ(answer.cache.rows_after_prefill, exact.cache.rows_after_prefill);
      EXPECT_EQ(2 * answer.cache.bytes_after_prefill, exact.cache.bytes_after_prefill);
      EXPECT_NE(answer.token_logits, exact.token_logits) << "nothing was rounded";
    }
    EXPECT_GE(static_cast<double>(same), 0.995 * static_cast<double>(asked)) << folder;
  }
}

/// The smallest routing margin of each picture, in the reference.
std::map<std::string, double> margins() {
  std::map<std::string, double> margins;
  for (const Json& line : lines_of("answers.jsonl")) {
    margins[line.at("image")] = line.at("pmod").at("min_routing_margin");
  }
  return margins;
}

/// How a traced layer chose among one picture's rows.
struct Choice {
  std::set<int64_t> kept;  // indices among the vision rows
  std::vector<float> weight;
  std::size_t vision_rows = 0;
};

Choice choice_of(const io::SafetensorsFile& trace, const std::string& layer) {
  const auto mask = trace.tensors.at("vision_mask").values<int64_t>();
  const auto first = std::find(mask.begin(), mask.end(), 1) - mask.begin();
  Choice choice;
  choice.vision_rows = static_cast<std::size_t>(std::count(mask.begin(), mask.end(), 1));
  for (const int64_t row : trace.tensors.at("layers." + layer + ".kept").values<int64_t>()) {
    if (mask[static_cast<std::size_t>(row)] == 1) choice.kept.insert(row - first);
  }
  const auto weight = trace.tensors.at("layers." + layer + ".router_weight").values<float>();
  choice.weight.assign(weight.begin(), weight.end());
  return choice;
}

// Rows of the difference must be tied: within 1e-5 of the lowest weight that was kept.
void expect_tied(const Choice& ours, const std::set<int64_t>& expected) {
  ASSERT_EQ(ours.weight.size(), ours.vision_rows);
  ASSERT_EQ(ours.kept.size(), expected.size());
  double boundary = 2;
  for (const int64_t row : ours.kept) boundary = std::min<double>(boundary, ours.weight[static_cast<std::size_t>(row)]);
  std::vector<int64_t> difference;
  std::set_symmetric_difference(ours.kept.begin(), ours.kept.end(), expected.begin(), expected.end(),
                                std::back_inserter(difference));
  for (const int64_t row : difference) EXPECT_NEAR(ours.weight[static_cast<std::size_t>(row)], boundary, 1e-5) << row;
}

// The kept sets depend on the picture only: the text comes after it or carries no image.
TEST(DemoAnswers, KeptSets) {
  Session session = Session::open(kModels / "easyvqa-pmod");
  const std::map<std::string, double> margin = margins();
  const std::filesystem::path out = std::filesystem::temp_directory_path() / "lithe-demo-answers.safetensors";
  const std::vector<Json> lines = lines_of("routing.jsonl");
  ASSERT_EQ(lines.size(), 99U);
  int layers = 0, equal = 0;
  for (const Json& line : lines) {
    const std::string image = line.at("image");
    write_trace(session, ask(session, image, "what shape is in the image?"), {.max_tokens = 0}, out);
    const io::SafetensorsFile trace = io::open_safetensors(out);
    for (const auto& [layer, kept] : line.at("kept_vision").items()) {
      SCOPED_TRACE(image + " layer " + layer);
      const auto expected = kept.get<std::set<int64_t>>();
      const Choice ours = choice_of(trace, layer);
      ++layers;
      equal += ours.kept == expected ? 1 : 0;
      if (margin.at(image) < 1e-5) {
        expect_tied(ours, expected);
      } else {
        EXPECT_EQ(ours.kept, expected);
      }
    }
  }
  std::filesystem::remove(out);
  EXPECT_EQ(layers, 99 * 9);
  RecordProperty("equal_sets", equal);
}

}  // namespace
}  // namespace lithe::session
