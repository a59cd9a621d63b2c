// Plans that keep the vision tokens which a question says it needs.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "plan/parse.h"
#include "plan/rows.h"
#include "sentence_of.h"
#include "session/batch_support.h"
#include "session/session.h"

namespace lithe::session {
namespace {

using lithe::test::sentence_of;
using List = std::vector<int64_t>;

Request ask_needing(const std::vector<List>& needed, std::size_t pictures = 1) {
  Request request = ask(dense(), std::vector<std::string>(pictures, "901.png"), "is there a circle?");
  request.needed = needed;
  request.plan = plan::parse_plan(parse_json(R"({"name": "oracle", "layers": [{"layer": 3, "rules": [
      {"group": "vision", "keep_share": 0.25, "by": "given"}]}]})",
                                             "test"),
                                  "test", dense().facts());
  return request;
}

/// The needed tokens, then others of the 64, evenly spread.
List expected(const List& needed, int64_t keep) {
  List kept = needed, others;
  for (int64_t token = 0; token < kTokensOfPicture; ++token)
    if (std::find(needed.begin(), needed.end(), token) == needed.end()) others.push_back(token);
  for (const int64_t i : plan::spread_rows(std::ssize(others), keep - std::ssize(needed)))
    kept.push_back(others[static_cast<std::size_t>(i)]);
  std::sort(kept.begin(), kept.end());
  return kept;
}

TEST(Needed, TokensStayFirst) {
  for (const List& needed : {List{63}, List{0, 1, 2, 40}, List{5, 17, 18, 44, 60}}) {
    const Answer answer = dense().answer(ask_needing({needed}), {.max_new_tokens = 1});
    ASSERT_EQ(answer.kept.at(0).layers.size(), 1u);
    EXPECT_EQ(answer.kept[0].layers[0].kept, expected(needed, 16));
  }
}

TEST(Needed, MoreThanThePlanKeepsLeavesTheFirst) {
  List needed;
  for (int64_t token = 20; token < 50; ++token) needed.push_back(token);
  const Answer answer = dense().answer(ask_needing({needed}), {.max_new_tokens = 1});
  EXPECT_EQ(answer.kept.at(0).layers.at(0).kept, List(needed.begin(), needed.begin() + 16));
}

TEST(Needed, EachPictureHasItsOwn) {
  BatchRun batch(dense());
  batch.submit(1, ask_needing({{7}, {1, 2}}, 2), {.max_new_tokens = 1});
  batch.submit(2, ask_needing({{50}}), {.max_new_tokens = 1});
  while (!batch.idle()) {
    for (const Outcome& outcome : batch.step()) {
      ASSERT_FALSE(outcome.error) << outcome.error->what();
      const std::vector<KeptMap>& kept = outcome.answer.kept;
      const auto holds = [&](std::size_t picture, int64_t token) {
        const List& tokens = kept.at(picture).layers.at(0).kept;
        return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
      };
      if (outcome.ticket == 2) {
        EXPECT_TRUE(holds(0, 50));
      }
      if (outcome.ticket == 1) {
        EXPECT_TRUE(holds(0, 7) && holds(1, 1) && holds(1, 2));
      }
    }
  }
}

TEST(Needed, MustBeKnown) {
  const auto refusal = [](const Request& request) { return sentence_of([&] { dense().answer(request); }); };
  EXPECT_NE(refusal(ask_needing({})).find("does not say which these are"), std::string::npos);
  EXPECT_NE(refusal(ask_needing({{1}}, 2)).find("does not say which these are"), std::string::npos);
  EXPECT_NE(
      refusal(ask_needing({{64}})).find("needs vision token 64 of picture 1, whose tokens are numbered from 0 to 63"),
      std::string::npos);
  BatchRun batch(dense());
  batch.submit(1, ask_needing({}));
  const std::vector<Outcome> outcomes = batch.step();
  ASSERT_EQ(outcomes.size(), 1u);
  EXPECT_EQ(outcomes[0].error->fault(), Fault::bad_request);
}

TEST(Needed, AnswersWithoutAPictureNeedNone) {
  Request request = ask_needing({}, 0);
  EXPECT_NO_THROW(dense().answer(request, {.max_new_tokens = 1}));
}

}  // namespace
}  // namespace lithe::session
