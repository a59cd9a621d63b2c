#include "session/token_rules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/json.h"
#include "checkpoints/read/generation_file.h"
#include "models/support.h"

namespace lithe::session {
namespace {

models::GenerationDefaults read(const Json& config, const std::vector<int64_t>& eos_ids) {
  const models::TempFolder folder;
  models::write_text(folder.path / "generation_config.json", config.dump());
  return models::read_generation(folder.path, eos_ids);
}

// tests/data/session/token_rules.json holds what transformers' own logits processors give.
TEST(TokenRules, AsTransformersAppliesThem) {
  const Json json = read_json_file(std::filesystem::path(LITHE_TEST_DATA) / "session/token_rules.json");
  const auto eos_ids = json.at("eos_ids").get<std::vector<int64_t>>();
  for (const Json& item : json.at("cases")) {
    SCOPED_TRACE(item.at("generation_config").dump() + item.at("ids").dump());
    const models::GenerationDefaults defaults = read(item.at("generation_config"), eos_ids);
    EXPECT_TRUE(defaults.rules.any());
    EXPECT_TRUE(defaults.not_obeyed.empty());
    const auto ids = item.at("ids").get<std::vector<int64_t>>();
    const auto prompt = item.at("prompt").get<int64_t>();
    auto logits = item.at("logits").get<std::vector<float>>();
    apply_rules(defaults.rules,
                {.ids = ids,
                 .prompt_rows = prompt,
                 .made = static_cast<int64_t>(ids.size()) - prompt,
                 .most = item.at("most").get<int64_t>(),
                 .eos_ids = eos_ids},
                item.at("repetition_penalty").get<double>(), logits);
    for (size_t id = 0; id < logits.size(); ++id) {
      const Json& expected = item.at("expected")[id];
      if (expected.is_null())
        EXPECT_TRUE(std::isinf(logits[id]) && logits[id] < 0) << id;
      else
        EXPECT_NEAR(logits[id], expected.get<double>(), 1e-5) << id;
    }
  }
  EXPECT_EQ(json.at("cases").size(), 21u);
}

TEST(TokenRules, PicturesAndIdsOutsideTheVocabularyAreNoTokens) {
  const models::GenerationDefaults defaults =
      read({{"suppress_tokens", {1, 99}}, {"bad_words_ids", {{99}, {3, 98}}}, {"no_repeat_ngram_size", 2}}, {2});
  const std::vector<int64_t> ids{3, -200, 3};
  std::vector<float> logits(5, 1.0f);
  apply_rules(defaults.rules, {.ids = ids, .prompt_rows = 20, .made = 0, .most = 5, .eos_ids = {}}, 1.0, logits);
  EXPECT_EQ(logits, (std::vector<float>{1, -INFINITY, 1, 1, 1}));
}

TEST(TokenRules, AGrowthBeyondEveryNumberLeavesNumbers) {
  const models::GenerationDefaults defaults = read({{"exponential_decay_length_penalty", {1, 1e9}}}, {2});
  const std::vector<int64_t> ids(200, 3), eos{2};
  std::vector<float> logits{1, 1, 0, 1};
  apply_rules(defaults.rules, {.ids = ids, .prompt_rows = 20, .made = 180, .most = 500, .eos_ids = eos}, 1.0, logits);
  EXPECT_EQ(logits, (std::vector<float>{1, 1, 0, 1}));
}

}  // namespace
}  // namespace lithe::session
