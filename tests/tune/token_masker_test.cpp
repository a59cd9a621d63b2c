#include "tune/token_masker.h"

#include <filesystem>
#include <vector>

#include "base/error.h"
#include "checkpoints/read/meter.h"
#include "text/labels.h"
#include "tune/meter_case.h"

namespace lithe::tune {
namespace {

using TokenMaskerTest = test::MeterCase;

TEST_F(TokenMaskerTest, HidesTheShareOfPreTraining) {
  const auto meter = models::open_meter(temp_ / "meter.ckpt");
  const TokenMasker masker(*meter);
  const models::TextIds text = meter->encode("how is the house");
  const int64_t mask = *meter->tokenizer->id_of("<mask>");
  constexpr int64_t kTimes = 4000;
  int64_t hidden = 0, masked = 0, same = 0, marks = 0;
  for (int64_t i = 0; i < kTimes; ++i) {
    models::TextIds changed = text;
    const std::vector<int64_t> labels = masker.hide(changed, static_cast<uint64_t>(i));
    ASSERT_EQ(labels.size(), text.ids.size());
    for (size_t place = 0; place < labels.size(); ++place) {
      if (labels[place] == text::kIgnored) {
        EXPECT_EQ(changed.ids[place], text.ids[place]);
        continue;
      }
      EXPECT_EQ(labels[place], text.ids[place]);
      marks += meter->tokenizer->is_special(text.ids[place]) ? 1 : 0;
      ++hidden;
      masked += changed.ids[place] == mask ? 1 : 0;
      same += changed.ids[place] == text.ids[place] ? 1 : 0;
    }
  }
  EXPECT_EQ(marks, 0);
  // 2 of the 14 places of a padded text are drawn.
  ASSERT_EQ(meter->config.max_text, 14);
  const int64_t tokens = std::ssize(text.ids) - 2;
  const auto near = [](int64_t count, double share, int64_t of) {
    EXPECT_NEAR(static_cast<double>(count) / static_cast<double>(of), share, 0.02);
  };
  near(hidden, 2.0 / 14, kTimes * tokens);
  near(masked, 0.8, hidden);
  near(same, 0.1, hidden);
}

TEST_F(TokenMaskerTest, IsTheSameForTheSameDraw) {
  const auto meter = models::open_meter(temp_ / "meter.ckpt");
  const TokenMasker masker(*meter);
  const auto hidden = [&](const char* text, uint64_t draw) {
    models::TextIds ids = meter->encode(text);
    std::vector<int64_t> both = masker.hide(ids, draw);
    both.insert(both.end(), ids.ids.begin(), ids.ids.end());
    return both;
  };
  EXPECT_EQ(hidden("how is the house", 3), hidden("how is the house", 3));
  int64_t others = 0;
  for (uint64_t draw = 0; draw < 20; ++draw)
    others += hidden("how is the house", draw) != hidden("how is the house", draw + 1) ? 1 : 0;
  EXPECT_GT(others, 10);
}

TEST_F(TokenMaskerTest, NeedsATokenizerWithAMask) {
  std::filesystem::remove(temp_ / "tokenizer.json");
  const auto meter = models::open_meter(temp_ / "meter.ckpt");
  EXPECT_THROW(TokenMasker{*meter}, Error);
}

}  // namespace
}  // namespace lithe::tune
