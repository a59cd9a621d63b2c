#include "session/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/error.h"
#include "session/stop_filter.h"

namespace lithe::session {
namespace {

const std::vector<float> kLogits{1.0f, 3.0f, 2.0f, 3.0f, -1.0f};

std::map<int64_t, double> shares(const SamplingPolicy& policy, const std::vector<int64_t>& seen = {},
                                 int draws = 20000) {
  std::mt19937_64 generator(7);
  std::map<int64_t, double> counts;
  for (int i = 0; i < draws; ++i) counts[sample(kLogits, seen, policy, generator)] += 1.0 / draws;
  return counts;
}

TEST(Sampling, GreedyTakesTheLowestOfEqualTokens) {
  std::mt19937_64 generator(0);
  EXPECT_EQ(sample(kLogits, {}, {}, generator), 1);
}

TEST(Sampling, DrawsFollowTheSoftmaxOfTheLogits) {
  const auto drawn = shares({.temperature = 1.0});
  double sum = 0;
  for (const float logit : kLogits) sum += std::exp(logit);
  for (size_t id = 0; id < kLogits.size(); ++id) {
    const double expected = std::exp(kLogits[id]) / sum,
                 found = drawn.contains(static_cast<int64_t>(id)) ? drawn.at(static_cast<int64_t>(id)) : 0;
    EXPECT_NEAR(found, expected, 0.015) << "token " << id;
  }
}

TEST(Sampling, FiltersKeepWhatTheyPromise) {
  const auto ids = [](const std::map<int64_t, double>& drawn) {
    std::vector<int64_t> found;
    for (const auto& [id, share] : drawn) found.push_back(id);
    return found;
  };
  EXPECT_EQ(ids(shares({.temperature = 1.0, .top_k = 2})), (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(ids(shares({.temperature = 1.0, .top_k = 3})), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(ids(shares({.temperature = 1.0, .top_p = 0.5})), (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(ids(shares({.temperature = 1.0, .min_p = 0.3})), (std::vector<int64_t>{1, 2, 3}));
}

TEST(Sampling, PenaltiesFollowTheFormulaOfOpenAi) {
  // mu[j] - c[j] * frequency - (c[j] > 0) * presence
  std::vector<float> logits = kLogits;
  penalise_made(logits, std::vector<int64_t>{1, 1, 4, -200, 99, 1},
                {.frequency_penalty = 0.5, .presence_penalty = -0.25});
  EXPECT_EQ(logits, (std::vector<float>{1.0f, 3.0f - 1.5f + 0.25f, 2.0f, 3.0f, -1.0f - 0.5f + 0.25f}));
}

TEST(Sampling, BiasesAreAddedAndSkipOtherIds) {
  std::vector<float> logits = kLogits;
  add_biases(logits, std::vector<TokenBias>{{0, 100}, {1, -100}, {99, 5}, {-1, 5}});
  EXPECT_EQ(logits, (std::vector<float>{101.0f, -97.0f, 2.0f, 3.0f, -1.0f}));
}

TEST(Sampling, ChangesOfLogitsHaveTheirRange) {
  EXPECT_THROW(check({.frequency_penalty = 2.5}), Error);
  EXPECT_THROW(check({.presence_penalty = -2.5}), Error);
  EXPECT_THROW(check({.presence_penalty = std::nan("")}), Error);
  EXPECT_THROW(check({.biases = {{3, 101}}}), Error);
  EXPECT_NO_THROW(check({.frequency_penalty = -2, .presence_penalty = 2, .biases = {{3, -100}}}));
}

TEST(Sampling, RepetitionPenaltyDividesOnceAndSkipsImageMarks) {
  std::mt19937_64 generator(0);
  const SamplingPolicy policy{.repetition_penalty = 1.4};  // 3.0 / 1.4 = 2.14 stays above 2.0
  EXPECT_EQ(sample(kLogits, std::vector<int64_t>{1, 1, 1, -200, 99}, policy, generator), 3);
  EXPECT_EQ(sample(kLogits, std::vector<int64_t>{1, 3, 3}, policy, generator), 1);
}

TEST(Sampling, SameSeedSameTokens) {
  std::mt19937_64 a(3), b(3);
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(sample(kLogits, {}, {.temperature = 2.0}, a), sample(kLogits, {}, {.temperature = 2.0}, b));
}

/// The definition: all tokens sorted, one filter after another.
int64_t plain_sample(const std::vector<float>& logits, const SamplingPolicy& policy, std::mt19937_64& generator) {
  std::vector<std::pair<double, int64_t>> tokens;  // by falling probability, then by id
  for (size_t i = 0; i < logits.size(); ++i) tokens.emplace_back(-logits[i] / policy.temperature, i);
  std::sort(tokens.begin(), tokens.end());
  if (policy.top_k > 0) tokens.resize(std::min(tokens.size(), static_cast<size_t>(policy.top_k)));
  const double highest = -tokens.front().first;
  double sum = 0;
  for (auto& [value, id] : tokens) sum += value = std::exp(-value - highest);
  for (auto& [value, id] : tokens) value /= sum;
  double mass = 0;
  size_t count = 0;
  while (count < tokens.size() && (count == 0 || mass < policy.top_p)) mass += tokens[count++].first;
  tokens.resize(count);
  const double least = tokens.front().first * policy.min_p;
  std::erase_if(tokens, [&](const auto& token) { return token.first < least; });
  double total = 0;
  for (const auto& [value, id] : tokens) total += value;
  double left = static_cast<double>(generator() >> 11) * 0x1.0p-53 * total;
  for (const auto& [value, id] : tokens) {
    if ((left -= value) < 0) return id;
  }
  return tokens.back().second;
}

TEST(Sampling, GivesTheTokensOfTheDefinition) {
  std::mt19937_64 numbers(11), ours(5), plain(5);
  std::normal_distribution<float> normal(0.0f, 3.0f);
  for (const double temperature : {0.2, 1.0, 5.0}) {
    for (const int64_t top_k : {0, 1, 40, 5000}) {
      for (const double top_p : {1.0, 0.9, 0.1}) {
        for (const double min_p : {0.0, 0.05, 1.0}) {
          const SamplingPolicy policy{.temperature = temperature, .top_k = top_k, .top_p = top_p, .min_p = min_p};
          std::vector<float> logits(2000);
          for (float& logit : logits) logit = std::round(4 * normal(numbers)) / 4;  // many are equal
          for (int draw = 0; draw < 5; ++draw)
            ASSERT_EQ(sample(logits, {}, policy, ours), plain_sample(logits, policy, plain))
                << temperature << " " << top_k << " " << top_p << " " << min_p;
        }
      }
    }
  }
}

TEST(Sampling, TheLowestTemperatureTakesTheBestToken) {
  std::mt19937_64 generator(2);
  const std::vector<float> logits{-50.0f, 3.25f, 3.0f, 90.5f, -std::numeric_limits<float>::infinity()};
  for (const double temperature : {1e-3, 1e-308, 5e-324}) {
    for (const double top_p : {1.0, 0.9}) {
      for (int i = 0; i < 20; ++i)
        EXPECT_EQ(sample(logits, {}, {.temperature = temperature, .top_p = top_p}, generator), 3) << temperature;
    }
  }
}

// A penalty far from 1 or a large bias: what is left to draw from is the infinite ones.
TEST(Sampling, InfiniteLogitsHaveAnOrder) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::mt19937_64 generator(3);
  std::vector<float> logits(2000, -kInfinity);
  for (size_t i = 0; i < logits.size(); i += 3) logits[i] = kInfinity;
  for (size_t i = 1; i < logits.size(); i += 3) logits[i] = static_cast<float>(i);
  for (const int64_t top_k : {0, 5, 1500}) {
    for (const double top_p : {1.0, 0.5}) {
      for (int i = 0; i < 20; ++i)
        EXPECT_EQ(sample(logits, {}, {.temperature = 1.0, .top_k = top_k, .top_p = top_p}, generator) % 3, 0) << top_k;
    }
  }
  const std::vector<float> none(50, -kInfinity);
  EXPECT_LT(sample(none, {}, {.temperature = 1.0, .top_k = 7}, generator), 50);
}

TEST(Sampling, RefusesValuesOutOfRange) {
  EXPECT_THROW(check({.temperature = -1}), Error);
  EXPECT_THROW(check({.temperature = std::nan("")}), Error);
  EXPECT_THROW(check({.top_k = -1}), Error);
  EXPECT_THROW(check({.top_p = 0}), Error);
  EXPECT_THROW(check({.min_p = 1.5}), Error);
  EXPECT_THROW(check({.repetition_penalty = 0}), Error);
  EXPECT_NO_THROW(check({}));
}

TEST(StopFilter, EndsBeforeTheFirstStopString) {
  StopFilter filter({"###", "END"});
  EXPECT_EQ(filter.push("one #"), "one ");
  EXPECT_EQ(filter.push("# two E"), "## two ");
  EXPECT_EQ(filter.push("N"), "");
  EXPECT_FALSE(filter.stopped());
  EXPECT_EQ(filter.push("D three"), "");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.finish(), "");
}

TEST(StopFilter, GivesBackWhatWasNoStopString) {
  StopFilter filter({"###", ""});
  EXPECT_EQ(filter.push("a##"), "a");
  EXPECT_EQ(filter.finish(), "##");
  EXPECT_FALSE(filter.stopped());
}

}  // namespace
}  // namespace lithe::session
