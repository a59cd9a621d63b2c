// What an answer tells of each picture's vision tokens, layer by layer.
#include <gtest/gtest.h>

#include <algorithm>

#include "image/decode.h"
#include "plan/parse.h"
#include "plan/rows.h"
#include "session/batch_support.h"

namespace lithe::session {
namespace {

std::vector<KeptMap> kept_under(const char* plan, std::size_t pictures = 1) {
  Request request{.messages = {text::user_message("is there a circle?", pictures)}};
  request.images.assign(pictures, image::read_image(kPicture, dense().decode_options()));
  request.plan = plan::parse_plan(parse_json(plan, "test"), "test", dense().facts());
  return dense().answer(request, {.max_new_tokens = 1}).kept;
}

std::vector<int64_t> all_but(const std::vector<int64_t>& some) {
  std::vector<int64_t> rest;
  for (int64_t token = 0; token < kTokensOfPicture; ++token) {
    if (std::find(some.begin(), some.end(), token) == some.end()) rest.push_back(token);
  }
  return rest;
}

TEST(Kept, TellsDroppedTokensFromThoseThatOnlyOfferKeysAndValues) {
  const auto kept = kept_under(R"({"name": "mixed", "layers": [
      {"layer": 2, "rules": [{"group": "vision", "keep_share": 0.5, "by": "uniform", "others": {"key_value": true}}]},
      {"layer": 5, "rules": [{"group": "vision", "keep_share": 0.25, "by": "uniform"}]}]})");
  ASSERT_EQ(kept.size(), 1u);
  ASSERT_EQ(kept[0].layers.size(), 2u) << "only layers that left some out";
  const image::LayerKept &first = kept[0].layers[0], &second = kept[0].layers[1];
  EXPECT_EQ(first.layer, 2);
  EXPECT_EQ(first.total, kTokensOfPicture);
  EXPECT_EQ(first.kept, plan::spread_rows(kTokensOfPicture, 32));
  EXPECT_EQ(first.offered, all_but(first.kept));
  EXPECT_EQ(second.layer, 5);
  EXPECT_EQ(second.kept, plan::spread_rows(kTokensOfPicture, 16));
  EXPECT_TRUE(second.offered.empty());
}

TEST(Kept, TokensThatDoNotReturnAreDroppedFromThenOn) {
  const auto kept = kept_under(R"({"name": "gone", "layers": [{"layer": 9, "rules": [{"group": "vision",
      "keep_share": 0.5, "by": "uniform", "others": {"key_value": true}, "others_return": false}]}]})");
  ASSERT_EQ(kept[0].layers.size(), 3u);
  EXPECT_EQ(kept[0].layers[0].offered.size(), 32u);
  for (const std::size_t later : {1u, 2u}) {
    EXPECT_EQ(kept[0].layers[later].kept, kept[0].layers[0].kept);
    EXPECT_TRUE(kept[0].layers[later].offered.empty());
  }
}

TEST(Kept, EveryPictureHasItsOwnTokens) {
  const auto kept = kept_under(R"({"name": "half", "layers": [
      {"layer": 2, "rules": [{"group": "vision", "keep_count": 70, "by": "uniform", "others": {"key_value": true}}]}]})",
                               2);
  ASSERT_EQ(kept.size(), 2u);
  std::size_t run = 0;
  for (const KeptMap& map : kept) {
    EXPECT_EQ(map.layers.at(0).total, kTokensOfPicture);
    EXPECT_EQ(map.layers[0].offered, all_but(map.layers[0].kept));
    run += map.layers[0].kept.size();
  }
  EXPECT_EQ(run, 70u);
}

}  // namespace
}  // namespace lithe::session
