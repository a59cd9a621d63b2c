#include "eval/kept_tokens.h"

#include <gtest/gtest.h>

namespace lithe::eval {
namespace {

/// Two pictures of four tokens in three layers. Layer 1 runs tokens 0 and 2 of the first and none of the second.
session::Answer answer_of_two() {
  session::Answer answer;
  answer.timings.vision_rows = 8;
  answer.cache.rows_after_prefill = {10, 4, 10};
  answer.kept = {{.views = {}, .layers = {{.layer = 1, .kept = {0, 2}, .total = 4}}},
                 {.views = {}, .layers = {{.layer = 1, .kept = {}, .total = 4}}}};
  return answer;
}

TEST(KeptTokens, CountsThoseThatRan) {
  const auto tokens = kept_tokens(answer_of_two(), {{0, 1, 2}, {3, 3}});
  ASSERT_TRUE(tokens);
  EXPECT_EQ(tokens->vision, 8);
  EXPECT_EQ(tokens->needed, 4) << "a token that is named twice counts once";
  EXPECT_EQ(tokens->kept, (std::vector<int64_t>{8, 2, 8}));
  EXPECT_EQ(tokens->needed_kept, (std::vector<int64_t>{4, 2, 4}));
}

TEST(KeptTokens, AreUnknownWithoutWhatIsNeeded) {
  EXPECT_FALSE(kept_tokens(answer_of_two(), {}));
  EXPECT_FALSE(kept_tokens(answer_of_two(), {{0}}));
}

TEST(KeptTokens, ComeBackFromALine) {
  const auto tokens = kept_tokens(answer_of_two(), {{0, 1, 2}, {3}});
  Json line = {{"question", 0}, {"id", "q"}};
  EXPECT_FALSE(kept_tokens_in(line));
  line.update(to_json(*tokens));
  ASSERT_TRUE(kept_tokens_in(line)) << "as it was made";
  const auto back = kept_tokens_in(parse_json(line.dump(), "line"));
  ASSERT_TRUE(back);
  EXPECT_EQ(to_json(*back), to_json(*tokens));
  line["needed_kept"] = {1};
  EXPECT_FALSE(kept_tokens_in(line)) << "another number of layers";
}

TEST(Recall, IsAShareOfAllQuestionsTokens) {
  Recall recall;
  EXPECT_TRUE(recall.empty());
  recall.add({.vision = 8, .needed = 4, .kept = {8, 2}, .needed_kept = {4, 2}});
  recall.add({.vision = 8, .needed = 1, .kept = {8, 4}, .needed_kept = {1, 1}});
  const Json layers = recall.layers();
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_EQ(layers[0], (Json{{"layer", 0}, {"kept_share", 1.0}, {"recall_share", 1.0}, {"questions", 2}}));
  EXPECT_DOUBLE_EQ(layers[1].at("kept_share").get<double>(), 6.0 / 16);
  EXPECT_DOUBLE_EQ(layers[1].at("recall_share").get<double>(), 3.0 / 5);
}

}  // namespace
}  // namespace lithe::eval
