#include "session/pair_session.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "checkpoints/read/meter.h"
#include "temporary_folder.h"

namespace lithe::session {
namespace {

namespace fs = std::filesystem;

/// A picture of coloured stripes.
image::Source picture(int64_t width, int64_t height, int shade) {
  image::Image image(width, height);
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>((i * 7 + i / 13 + shade) % 256);
  return image;
}

/// The golden model with the tests' tokenizer beside it.
class PairSessionTest : public ::testing::Test {
 protected:
  PairSessionTest() {
    const fs::path data = LITHE_TEST_DATA;
    fs::copy_file(data / "golden/meter/checkpoint/meter.ckpt", temp_ / "meter.ckpt");
    fs::copy_file(data / "meter/tokenizer.json", temp_ / "tokenizer.json");
    session_.emplace(models::open_meter(temp_ / "meter.ckpt"));
  }

  const test::TemporaryFolder temp_;
  std::optional<PairSession> session_;
  const std::vector<image::Source> pictures_{picture(40, 30, 0), picture(32, 64, 90), picture(50, 50, 180)};
};

TEST_F(PairSessionTest, EveryHeadScoresItsClasses) {
  for (const HeadInfo& head : session_->heads()) {
    const size_t count = head.pictures == 0 ? 3 : static_cast<size_t>(head.pictures);
    const PairQuestion question{"what is the shape?",
                                {pictures_.begin(), pictures_.begin() + static_cast<long>(count)}};
    const std::vector<float> scores = session_->scores(head, {&question, 1}).front();
    EXPECT_EQ(scores.size(), head.pictures == 0 ? 3 : head.labels.size()) << head.name;
    if (head.name == "vqa" || head.name == "rank") continue;
    EXPECT_NEAR(std::accumulate(scores.begin(), scores.end(), 0.0), 1.0, 1e-5) << head.name;
  }
  std::vector<std::string> names;
  for (const HeadInfo& head : session_->heads()) names.push_back(head.name);
  EXPECT_EQ(names, (std::vector<std::string>{"vqa", "nlvr2", "snli", "itm", "rank"}));
}

TEST_F(PairSessionTest, QuestionsTogetherScoreAsAlone) {
  const HeadInfo& head = session_->head("vqa");
  const std::vector<PairQuestion> questions{{"is it a red house?", {pictures_[0]}},
                                            {"what", {pictures_[1]}},
                                            {"how are the others, is it so?", {pictures_[2]}}};
  const auto together = session_->scores(head, questions);
  for (size_t i = 0; i < questions.size(); ++i) {
    const auto alone = session_->scores(head, {&questions[i], 1}).front();
    for (size_t label = 0; label < alone.size(); ++label) EXPECT_NEAR(together[i][label], alone[label], 1e-5);
  }
}

TEST_F(PairSessionTest, ARankingScoresEveryTextWithEveryPicture) {
  const std::vector<std::string> texts{"a red house", "the others", "what is it?", "a"};
  int64_t done = 0;
  const std::vector<float> table = session_->ranking(texts, pictures_, nullptr, [&](int64_t count) { done = count; });
  ASSERT_EQ(table.size(), texts.size() * pictures_.size());
  EXPECT_EQ(done, 3);
  const HeadInfo& rank = session_->head("rank");
  for (size_t text = 0; text < texts.size(); ++text) {
    const PairQuestion question{texts[text], pictures_};
    const std::vector<float> alone = session_->scores(rank, {&question, 1}).front();
    for (size_t image = 0; image < pictures_.size(); ++image)
      EXPECT_NEAR(table[image * texts.size() + text], alone[image], 1e-4 * (1 + std::abs(alone[image])));
  }
}

// More pictures than one pass of the tower and those that are prepared ahead of it.
TEST_F(PairSessionTest, ManyPicturesKeepTheirOrder) {
  std::vector<image::Source> many;
  for (int i = 0; i < 21; ++i) many.push_back(picture(30 + i, 50 - i, 11 * i));
  const HeadInfo& rank = session_->head("rank");
  const PairQuestion question{"a red house", many};
  const std::vector<float> together = session_->scores(rank, {&question, 1}).front();
  ASSERT_EQ(together.size(), many.size());
  for (size_t i = 0; i < many.size(); ++i) {
    const PairQuestion one{"a red house", {many[i]}};
    const float alone = session_->scores(rank, {&one, 1}).front().front();
    EXPECT_NEAR(together[i], alone, 1e-4 * (1 + std::abs(alone))) << i;
  }
}

// What a worker finds wrong reaches the caller, and nothing is left behind.
TEST_F(PairSessionTest, ADamagedPictureIsAnError) {
  std::vector<std::byte> bytes = image::read_image_bytes(LITHE_TEST_DATA "/golden/llava_eas/inputs/image0.png");
  bytes.resize(bytes.size() / 2);
  std::vector<image::Source> many(5, pictures_[0]);
  many.insert(many.begin() + 3, image::Source::of_bytes(std::move(bytes), "half.png"));
  const HeadInfo& rank = session_->head("rank");
  const PairQuestion question{"a red house", many};
  EXPECT_THROW(session_->scores(rank, {&question, 1}), Error);
  const PairQuestion good{"a red house", pictures_};
  EXPECT_EQ(session_->scores(rank, {&good, 1}).front().size(), 3U);
}

TEST_F(PairSessionTest, SaysWhatIsAskedWrongly) {
  const auto message = [&](const char* head, std::vector<image::Source> images) -> std::string {
    try {
      const PairQuestion question{"what is it?", std::move(images)};
      (void)session_->scores(session_->head(head), {&question, 1});
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_NE(message("nlvr2", {pictures_[0]}).find("takes 2 pictures, and 1 was given"), std::string::npos);
  EXPECT_NE(message("rank", {}).find("takes one picture or more"), std::string::npos);
  EXPECT_NE(message("mlm", {pictures_[0]}).find("it has vqa, nlvr2, snli, itm, rank"), std::string::npos);
  fs::remove(temp_ / "tokenizer.json");
  session_.emplace(models::open_meter(temp_ / "meter.ckpt"));
  EXPECT_NE(message("vqa", {pictures_[0]}).find("has no tokenizer"), std::string::npos);
}

TEST_F(PairSessionTest, AnswersHaveTheNamesOfTheConfig) {
  Json names;
  for (int i = 0; i < 31; ++i) names[std::to_string(i)] = "answer " + std::to_string(i);
  const PairSession named(models::open_meter(temp_ / "meter.ckpt", {}, {{"id2label", names}}));
  EXPECT_EQ(named.head("vqa").labels.at(30), "answer 30");
  EXPECT_EQ(session_->head("vqa").labels.at(30), "30");
  names.erase("12");
  EXPECT_THROW(models::open_meter(temp_ / "meter.ckpt", {}, {{"id2label", names}}), Error);
}

}  // namespace
}  // namespace lithe::session
