#include "tune/record_stream.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "tune/sample_maker.h"
#include "tune/support.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using test::golden;

/// A set of so many text-only records; a negative number makes one that has no answer.
fs::path write_set(const fs::path& file, const std::vector<int>& numbers) {
  Json records = Json::array();
  for (const int number : numbers) {
    Json turns = {{{"from", "human"}, {"value", concat("Question ", number)}}};
    if (number >= 0) turns.push_back({{"from", "gpt"}, {"value", concat("Answer ", number)}});
    records.push_back({{"id", std::to_string(number)}, {"conversations", turns}});
  }
  std::ofstream(file) << records;
  return file;
}

std::vector<WeightedSet> open_sets(const std::vector<std::pair<fs::path, double>>& files) {
  std::vector<WeightedSet> sets;
  for (const auto& [file, weight] : files) sets.push_back({data::DataSet::open({.path = file}), weight});
  return sets;
}

struct StreamOptions {
  SampleOptions sample;
  RecordStreamOptions records;
};

class SampleStream : public RecordStream<Sample> {
 public:
  SampleStream(const models::Model& model, std::vector<WeightedSet> sets, const StreamOptions& options,
               int64_t first = 0)
      : RecordStream(std::move(sets), options.records, sample_maker(model, options.sample), first) {}
};

class StreamTest : public ::testing::Test {
 protected:
  std::vector<std::string> names(int64_t count, const StreamOptions& options, int64_t first = 0) {
    SampleStream stream(*model_, open_sets({{set_, 1.0}}), options, first);
    std::vector<std::string> names;
    for (int64_t i = 0; i < count; ++i) names.push_back(stream.next().name);
    return names;
  }

  test::TempFolder folder_;
  std::unique_ptr<models::Model> model_ = models::open_model(golden("liuhaotian_llava15") / "checkpoint");
  fs::path set_ = write_set(folder_ / "set.json", {0, 1, 2, 3, 4, 5, 6});
  StreamOptions options_{.sample = {.conversation = "vicuna_v1"}};
};

TEST_F(StreamTest, EveryEpochHasEveryRecordInAnotherOrder) {
  const std::vector<std::string> all = names(14, options_);
  const std::vector<std::string> first(all.begin(), all.begin() + 7), second(all.begin() + 7, all.end());
  EXPECT_EQ(std::set(first.begin(), first.end()).size(), 7u);
  EXPECT_EQ(std::set(first.begin(), first.end()), std::set(second.begin(), second.end()));
  EXPECT_NE(first, second);
}

TEST_F(StreamTest, GoesOnWhereItWas) {
  const std::vector<std::string> all = names(20, options_);
  for (const int64_t first : {1, 6, 7, 13}) {
    EXPECT_EQ(names(20 - first, options_, first), std::vector<std::string>(all.begin() + first, all.end()))
        << "after " << first;
  }
}

TEST_F(StreamTest, RanksShareOutTheSameRecords) {
  constexpr int64_t kBatch = 2, kSteps = 7;
  for (const int64_t first : {0, 5}) {
    const std::vector<std::string> all = names(3 * kBatch * kSteps, options_, first);
    for (int64_t rank = 0; rank < 3; ++rank) {
      StreamOptions own = options_;
      own.records.order.share = {rank, 3, kBatch};
      const std::vector<std::string> taken = names(kBatch * kSteps, own, first);
      for (int64_t i = 0; i < kBatch * kSteps; ++i) {
        const int64_t turn = i / kBatch;
        EXPECT_EQ(taken[static_cast<size_t>(i)], all[static_cast<size_t>((3 * turn + rank) * kBatch + i % kBatch)]);
      }
    }
  }
}

TEST_F(StreamTest, TheOrderDependsOnTheSeedAndNotOnThreads) {
  StreamOptions other = options_;
  other.records.threads = 1;
  other.records.ahead = 1;
  EXPECT_EQ(names(14, options_), names(14, other));
  other.records.order.seed = 7;
  EXPECT_NE(names(14, options_), names(14, other));
}

TEST_F(StreamTest, LongSamplesComeTogether) {
  Json records = Json::array();
  for (int i = 0; i < 12; ++i)
    records.push_back({{"conversations",
                        {{{"from", "human"}, {"value", std::string(static_cast<size_t>(40 * (i * 5 % 12) + 1), 'q')}},
                         {{"from", "gpt"}, {"value", "Yes"}}}}});
  set_ = folder_ / "lengths.json";
  std::ofstream(set_) << records;
  options_.records.order.length_group = 6;
  SampleStream stream(*model_, open_sets({{set_, 1.0}}), options_);
  std::vector<int64_t> rows;
  for (int i = 0; i < 12; ++i) rows.push_back(stream.next().rows);
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.begin() + 6, std::greater<>()));
  EXPECT_TRUE(std::is_sorted(rows.begin() + 6, rows.end(), std::greater<>()));
}

TEST_F(StreamTest, WeightsGiveSharesOfASet) {
  const fs::path other = write_set(folder_ / "other.json", {10, 11, 12, 13});
  const std::vector<WeightedSet> sets = open_sets({{set_, 2.0}, {other, 0.5}});
  std::map<int64_t, int> of_other;
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    const std::vector<RecordPlace> order = order_of_epoch(sets, true, 1, epoch);
    ASSERT_EQ(order.size(), 16u);
    EXPECT_EQ(std::count_if(order.begin(), order.end(), [](const RecordPlace& one) { return one.set == 0; }), 14);
    for (const RecordPlace& one : order)
      if (one.set == 1) ++of_other[one.record];
  }
  EXPECT_EQ(of_other.size(), 4u);  // two epochs with half of it each have seen all of it
}

TEST_F(StreamTest, ASmallWeightStillTakesARecord) {
  const std::vector<WeightedSet> sets = open_sets({{set_, 1.0}, {write_set(folder_ / "other.json", {10, 11}), 0.01}});
  EXPECT_EQ(order_of_epoch(sets, true, 1, 0).size(), 8u);
}

TEST_F(StreamTest, WithoutShufflingASharedSetGoesOnWhereItWas) {
  const std::vector<WeightedSet> sets = open_sets({{set_, 0.5}});  // 4 of 7
  std::vector<int64_t> records;
  for (int64_t epoch = 0; epoch < 2; ++epoch)
    for (const RecordPlace& one : order_of_epoch(sets, false, 1, epoch)) records.push_back(one.record);
  EXPECT_EQ(records, (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 0}));
}

/// Also if all records are looked at before the first is taken.
TEST_F(StreamTest, ARecordThatCannotBeReadIsLeftOutInAnyOrder) {
  Json records = parse_json(R"([{"conversations": [{"from": "martian", "value": "?"}]}])", "test");
  for (const char* const question : {"one", "two"})
    records.push_back(
        {{"conversations", {{{"from", "human"}, {"value", question}}, {{"from", "gpt"}, {"value", "Yes"}}}}});
  set_ = folder_ / "unreadable.json";
  std::ofstream(set_) << records;
  options_.records.skip_bad_samples = 1;
  StreamOptions shared = options_, grouped = options_;
  shared.records.order.share_images = true;
  grouped.records.order.length_group = 3;
  for (const StreamOptions& options : {options_, shared, grouped}) {
    std::vector<std::string> taken = names(2, options);
    std::sort(taken.begin(), taken.end());
    EXPECT_NE(taken[0].find("record 2"), std::string::npos) << taken[0];
    EXPECT_NE(taken[1].find("record 3"), std::string::npos) << taken[1];
  }
}

TEST_F(StreamTest, EndsIfNoRecordIsGood) {
  set_ = write_set(folder_ / "bad.json", {-1, -2, -3});
  options_.records.skip_bad_samples = 1000;
  EXPECT_THROW(names(1, options_), Error);
}

TEST_F(StreamTest, ABadRecordIsAnErrorUnlessItMayBeLeftOut) {
  set_ = write_set(folder_ / "bad.json", {0, -1, 2});
  options_.records.order.shuffle = false;
  try {
    names(3, options_);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("record 2"), std::string::npos) << error.what();
  }
  options_.records.skip_bad_samples = 1;
  SampleStream stream(*model_, open_sets({{set_, 1.0}}), options_);
  std::vector<std::string> told;
  stream.on_skipped([&](const std::string& sentence) { told.push_back(sentence); });
  stream.next();
  EXPECT_NE(stream.next().name.find("record 3"), std::string::npos);
  EXPECT_EQ(stream.taken(), 3);
  EXPECT_EQ(stream.skipped(), 1);
  EXPECT_EQ(told.size(), 1u);
}

TEST_F(StreamTest, ATooLongSampleIsNamed) {
  options_.sample.longest = 10;
  try {
    names(1, options_);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("model_max_length is 10"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lithe::tune
