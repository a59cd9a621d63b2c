#include "session/prefix_cache.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "base/error.h"
#include "plan/random_plan.h"
#include "session/tiny_model.h"
#include "text/message.h"

namespace lithe::session {
namespace {

using test::Dice;
using test::expect_close;

constexpr int64_t kPlenty = int64_t{1} << 30;

/// A sequence whose rows follow from its tokens and pictures.
struct Text {
  RowOrigin origin;
  Rows rows;

  Text(std::shared_ptr<const plan::Plan> plan, std::string salt) {
    origin.plan = std::move(plan);
    origin.salt = std::move(salt);
  }
  void add_token(int64_t id) {
    origin.add(id);
    Dice dice(static_cast<uint64_t>(id));
    rows.add(dice, RowKind::text, 1);
  }
  /// Picture `number` has its own rows.
  void add_picture(uint8_t number) {
    Dice dice(100U + number);
    const int64_t before = rows.count();
    rows.add(dice, RowKind::vision, 2 + number);
    rows.add(dice, RowKind::vision_high_res, 3 * (number % 2));
    origin.ids.push_back(text::kImageId);
    origin.pictures.push_back({{number}, rows.count() - before});
    origin.kinds = rows.kinds;
  }
};

/// A system prompt, some pictures and a question; many begin alike.
Text random_prompt(const std::shared_ptr<const plan::Plan>& plan, const std::string& salt, Dice& dice) {
  Text text(plan, salt);
  const int64_t system = dice.below(4) == 0 ? 7 : 1;
  for (int64_t i = 0; i < 20; ++i) text.add_token(system + i % 5);
  for (int64_t i = dice.below(3); i > 0; --i) {
    text.add_picture(static_cast<uint8_t>(dice.below(2)));
    if (dice.coin()) text.add_token(1 + dice.below(2));
  }
  for (int64_t i = 1 + dice.below(3); i > 0; --i) text.add_token(1 + dice.below(2));
  text.origin.prompt_rows = text.rows.count();
  return text;
}

struct Run {
  Text text;
  Generation generation;
  std::vector<LayerRun> runs;
};

/// Prompts under plans in turn, each after what the cache and the last sequence hold of it, and also from the start.
/// -> the rows that were held
int64_t expect_prompts_equal_fresh_runs(const models::Model& model, const std::vector<plan::Plan>& plans,
                                        int64_t most_bytes, Dice& dice, const std::string& where) {
  PrefixCache cache(model, most_bytes);
  std::optional<Run> running;
  std::vector<std::shared_ptr<const plan::Plan>> owned;
  for (const plan::Plan& plan : plans) owned.push_back(std::make_shared<const plan::Plan>(plan));
  int64_t shared = 0;
  for (int i = 0; i < 10; ++i) {
    const std::shared_ptr<const plan::Plan>& plan = owned[static_cast<size_t>(dice.below(std::ssize(owned)))];
    Text text = random_prompt(plan, dice.below(4) == 0 ? "salt" : "", dice);
    std::vector<RunningRows> sources;
    if (running) sources.push_back({&running->text.origin, &running->generation, &running->runs});
    const Prefix prefix = cache.find(text.origin, sources);
    shared += prefix.rows;
    Generation held = prefix.rows > 0 ? prefix.take_generation() : Generation(model, plan), fresh(model, plan);
    EXPECT_EQ(held.next_position(), prefix.rows);
    expect_close(prefill(model, held, text.rows), prefill(model, fresh, text.rows), 1e-9,
                 concat(where, ", prompt ", i, ", ", prefix.rows, " rows held"));
    EXPECT_EQ(held.rows_held(), fresh.rows_held()) << where;
    running.emplace(Run{text, held.first(text.rows.count()), {}});
    for (int64_t k = dice.below(3); k > 0; --k) {
      text.add_token(1 + dice.below(2));
      const Tensor x = text.rows.x.narrow(0, text.rows.count() - 1, 1);
      expect_close(decode(model, held, x), decode(model, fresh, x), 1e-9, concat(where, ", answer ", i));
    }
    if (dice.coin()) cache.insert({text.origin, held, {}});
    EXPECT_LE(cache.bytes(), most_bytes) << where;
  }
  cache.allow(0);
  EXPECT_EQ(cache.bytes(), 0) << where;
  return shared;
}

TEST(PrefixCache, EveryPromptEqualsAFreshRunUnderRandomPlans) {
  const c10::InferenceMode no_gradients;
  const models::AdapterShape shape{.rank = 4};
  const models::Model tiny[] = {tiny_model(1, {}, {}), tiny_model(2, 5, {}),
                                tiny_model(3, {}, {{2, {.attention = false, .pia = shape}}})};
  plan::RandomPlans plans(27);
  Dice dice(28);
  int64_t shared = 0, shared_with_adapters = 0;
  for (int i = 0; i < 200 && !::testing::Test::HasFailure(); ++i) {
    const size_t which = i % 5 < 3 ? static_cast<size_t>(i) % 5 : 0;
    std::vector<plan::Plan> some(2);
    for (plan::Plan& plan : some) {
      if (dice.below(4) == 0 || which == 2) continue;  // dense
      plan = plans.plan(kLayers);
      for (plan::LayerPlan& layer : plan.layers) {  // fewer rules, so that something is shared
        while (layer.rules.size() > 1 || (!layer.rules.empty() && dice.below(3) == 0)) layer.rules.pop_back();
      }
    }
    const int64_t bytes = i % 3 == 0 ? 100'000 : kPlenty;  // a few sequences, or all
    (which == 2 ? shared_with_adapters : shared) +=
        expect_prompts_equal_fresh_runs(tiny[which], some, bytes, dice, concat("plans ", i));
  }
  EXPECT_GT(shared, 2000);
  EXPECT_EQ(shared_with_adapters, 0);
}

plan::Plan one_rule(plan::Group group, const std::string& by) {
  const plan::Rule rule{.group = group, .keep_share = 0.5, .by = by, .others = {false, false, false, false}};
  return {.name = "one rule", .layers = {{.layer = 2, .rules = {rule}}}};
}

/// Asks two prompts that differ in their last token. -> rows that the second takes from the first.
int64_t taken_by_a_second_question(const plan::Plan& plan) {
  const c10::InferenceMode no_gradients;
  const models::Model model = tiny_model(1, {}, {});
  const auto owned = std::make_shared<const plan::Plan>(plan);
  PrefixCache cache(model, kPlenty);
  const auto prompt = [&](int64_t last) {
    Text text(owned, "");
    for (int64_t i = 0; i < 18; ++i) text.add_token(i);
    text.add_picture(3);  // 5 rows and 3 of high resolution
    text.add_token(5);
    text.add_token(last);
    text.origin.prompt_rows = text.rows.count();
    return text;
  };
  const Text first = prompt(6);
  Generation generation(model, owned);
  prefill(model, generation, first.rows);
  cache.insert({first.origin, generation, {}});
  return cache.find(prompt(7).origin, {}).rows;
}

TEST(PrefixCache, ThePlanDecidesWhatIsShared) {
  using plan::Group;
  constexpr int64_t kAll = 18 + 8 + 1, kBeforePicture = 18;
  EXPECT_EQ(taken_by_a_second_question({}), kAll);
  EXPECT_EQ(taken_by_a_second_question(one_rule(Group::vision, "router")), kAll);
  EXPECT_EQ(taken_by_a_second_question(one_rule(Group::vision, "uniform")), kAll);
  EXPECT_EQ(taken_by_a_second_question(one_rule(Group::vision, "attention")), kBeforePicture);
  EXPECT_EQ(taken_by_a_second_question(one_rule(Group::vision, "relevance")), kBeforePicture);
  // A picture is never parted, so the rows before those of high resolution do not stay either.
  EXPECT_EQ(taken_by_a_second_question(one_rule(Group::vision_high_res, "attention")), kBeforePicture);
  EXPECT_EQ(taken_by_a_second_question(one_rule(Group::text, "router")), 0);
}

/// A dense sequence of 80 tokens, of which the first 20 are the same for all.
HeldRows sequence(const models::Model& model, const std::shared_ptr<const plan::Plan>& plan, int64_t number) {
  Text text(plan, "");
  for (int64_t i = 0; i < 20; ++i) text.add_token(i);
  for (int64_t i = 0; i < 60; ++i) text.add_token(100 + number);
  text.origin.prompt_rows = text.rows.count();
  Generation generation(model, plan);
  prefill(model, generation, text.rows);
  return {text.origin, std::move(generation), {}};
}

TEST(PrefixCache, ForgetsTheLeastRecentlyUsed) {
  const c10::InferenceMode no_gradients;
  const models::Model model = tiny_model(1, {}, {});
  const auto dense = std::make_shared<const plan::Plan>();
  PrefixCache room(model, kPlenty);
  room.insert(sequence(model, dense, 0));
  const int64_t one = room.bytes();
  EXPECT_GT(one, 0);
  PrefixCache cache(model, 3 * one);
  std::vector<HeldRows> held;
  for (int64_t i = 0; i < 4; ++i) held.push_back(sequence(model, dense, i));
  const auto rows = [&](size_t i) { return cache.find(held[i].origin, {}).rows; };
  for (size_t i = 0; i < 3; ++i) cache.insert(held[i]);
  EXPECT_EQ(cache.bytes(), 3 * one);
  EXPECT_EQ(rows(0), 79);  // used, so the next to go is 1
  cache.insert(held[3]);
  EXPECT_EQ(cache.bytes(), 3 * one);
  EXPECT_EQ(rows(1), 20);
  for (const size_t i : {0U, 2U, 3U}) EXPECT_EQ(rows(i), 79) << i;
  cache.allow(one);
  EXPECT_EQ(rows(3), 79);
  EXPECT_EQ(rows(0), 20);
  PrefixCache small(model, one - 1), off(model, 0);
  small.insert(held[0]);
  off.insert(held[0]);
  EXPECT_EQ(small.bytes() + off.bytes(), 0);
  EXPECT_FALSE(off.on());
}

TEST(PrefixCache, SharedBlocksCountOnce) {
  const c10::InferenceMode no_gradients;
  const models::Model model = tiny_model(1, {}, {});
  const auto dense = std::make_shared<const plan::Plan>();
  PrefixCache cache(model, kPlenty);
  const HeldRows first = sequence(model, dense, 0);
  cache.insert(first);
  const int64_t one = cache.bytes();
  cache.insert(first);
  EXPECT_EQ(cache.bytes(), one) << "the same again";
  cache.insert(first.first(70));
  EXPECT_EQ(cache.bytes(), one) << "a part of it";
  // Two ways to go on after the first block: they share it.
  Text text(dense, "");
  for (int64_t i = 0; i < 20; ++i) text.add_token(i);
  for (int64_t i = 0; i < 44; ++i) text.add_token(100);
  for (int64_t i = 0; i < 16; ++i) text.add_token(200);
  text.origin.prompt_rows = text.rows.count();
  const Prefix prefix = cache.find(text.origin, {});
  ASSERT_EQ(prefix.rows, 64);
  Generation generation = prefix.take_generation();
  prefill(model, generation, text.rows);
  cache.insert({text.origin, generation, {}});
  EXPECT_GT(cache.bytes(), one);
  EXPECT_LT(cache.bytes(), 2 * one - one / 4);
  // A longer sequence takes the place of its beginning.
  const int64_t two = cache.bytes();
  Text longer = text;
  longer.add_token(5);
  longer.origin.prompt_rows = longer.rows.count();
  prefill(model, generation, longer.rows);
  cache.insert({longer.origin, generation, {}});
  EXPECT_LT(cache.bytes() - two, one / 4);
  cache.allow(0);
  EXPECT_EQ(cache.bytes(), 0);
}

}  // namespace
}  // namespace lithe::session
