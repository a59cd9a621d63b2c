#include "tune/evaluation.h"

#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "tune/held_out.h"
#include "tune/held_out_samples.h"
#include "tune/support.h"

namespace lithe::tune {
namespace {

using test::Numbers;
using Sets = std::vector<std::unique_ptr<data::DataSet>>;

Sets numbers(int64_t bad = -1) {
  Sets sets;
  sets.push_back(std::make_unique<Numbers>(0, 5, bad));
  sets.push_back(std::make_unique<Numbers>(5, 0));
  sets.push_back(std::make_unique<Numbers>(5, 3, bad));
  return sets;
}

TEST(HeldOutSamples, ComeInOrderAndAreFinishedByWhoTakesThem) {
  const Sets sets = numbers();
  const SampleMaker<std::string> maker{.make = [](const data::Record& record) { return record.name; },
                                       .finish =
                                           [taker = std::this_thread::get_id()](std::string& sample) {
                                             EXPECT_EQ(std::this_thread::get_id(), taker);
                                             sample += "!";
                                           }};
  for (const int64_t ahead : {1, 2, 20}) {
    HeldOutSamples<std::string> samples(sets, maker, ahead);
    std::string all;
    while (const auto one = samples.next()) {
      all += one->sample;
      EXPECT_EQ(one->set->read(one->record).name, one->as_read.name);
    }
    EXPECT_EQ(all, "0!1!2!3!4!5!6!7!") << ahead;
  }
}

TEST(HeldOutSamples, ABadRecordIsToldInItsTurn) {
  const Sets sets = numbers(6);
  HeldOutSamples<std::string> samples(
      sets, {.make = [](const data::Record& record) { return record.name; }, .finish = {}}, 4);
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(samples.next()->sample, std::to_string(i));
  EXPECT_THROW(samples.next(), Error);
}

TEST(HeldOutSamples, BadRecordsAreFoundAndLeftOut) {
  const SampleMaker<std::string> maker{.make =
                                           [](const data::Record& record) {
                                             require(record.name != "1" && record.name != "7", Fault::bad_request,
                                                     record.name, ": is too long");
                                             return record.name;
                                           },
                                       .finish = {}};
  Sets sets = numbers(6);
  std::string told;
  const auto tell = [&](const std::string& sentence) { told += sentence + "\n"; };
  EXPECT_THROW(bad_records<std::string>(sets, maker, 2, tell), Error);
  told.clear();
  const std::vector<RecordPlace> bad = bad_records<std::string>(sets, maker, 3, tell);
  EXPECT_EQ(bad, (std::vector<RecordPlace>{{0, 1}, {2, 1}, {2, 2}}));
  EXPECT_EQ(told,
            "left out of eval_data: 1: is too long\nleft out of eval_data: number 6 is bad\n"
            "left out of eval_data: 7: is too long\n");
  sets = without(std::move(sets), bad);
  std::string good;
  for (const auto& set : sets)
    for (int64_t i = 0; i < set->size(); ++i) good += set->read(i).name;
  EXPECT_EQ(good, "02345");
}

TEST(Evaluation, RefusesSetsWithoutARecord) {
  const test::TempFolder folder;
  std::ofstream(folder / "none.json") << "[]";
  const auto model = models::open_model(test::golden("liuhaotian_llava15") / "checkpoint");
  std::vector<std::unique_ptr<data::DataSet>> sets;
  sets.push_back(data::DataSet::open({.path = folder / "none.json"}));
  EXPECT_THROW(evaluate(*model, model->plan, sets, {}), Error);
}

}  // namespace
}  // namespace lithe::tune
