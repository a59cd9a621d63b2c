// Codes of int4 that are rounded for data: the demo model on easy-VQA.
#include "tune/calibration.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "checkpoints/read/catalogue.h"
#include "data/data_set.h"
#include "models/model.h"
#include "sentence_of.h"
#include "temporary_folder.h"
#include "tune/record_passes.h"
#include "tune/shipped_questions.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using lithe::test::sentence_of;

class Calibrating : public ::testing::Test {
 protected:
  Calibrated written(const fs::path& source, const CalibrationOptions& calibration) const {
    fs::remove_all(out_);
    return quantise_for(calibration, kShippedModels / source, out_, {.weights = models::WeightStorage::int4});
  }

  /// Codes of the weights of the first layer's attention, by role.
  std::map<models::Role, at::Tensor> first_attention() const {
    std::map<models::Role, at::Tensor> numbers;
    visit(*models::open_model(out_), [&](const models::HeldWeight& held) {
      if (held.name.part == models::Part::decoder && held.name.layer == 0 && held.name.kind == models::Kind::weight)
        numbers[held.name.role] = held.weight.widened(at::kFloat);
    });
    return numbers;
  }

  lithe::test::TemporaryFolder folder_;
  const fs::path out_ = folder_ / "out";
};

/// Of every row of the records.  -> [rows, vocab]
at::Tensor logits_of(const models::Model& model, const std::string& file) {
  const at::NoGradGuard no_gradient;
  const auto set = data::DataSet::open({.path = file, .decode = model.vision->preprocess.decode_options()});
  std::vector<int64_t> records(static_cast<size_t>(set->size()));
  std::iota(records.begin(), records.end(), 0);
  std::vector<at::Tensor> logits;
  each_pass({model, model.plan, {}}, *set, records, [&](TrainingRows rows) {
    logits.push_back(model.decoder.logits(model.decoder.forward(std::move(rows.batch), rows.embeddings)));
  });
  return at::cat(logits);
}

TEST_F(Calibrating, BringsLogitsOfOtherRecordsNearer) {
  const std::string seen = shipped_questions(folder_, "seen.jsonl", 0, 20, 25),
                    others = shipped_questions(folder_, "others.jsonl", 505, 20, 20);
  for (const char* source : {"easyvqa-dense", "easyvqa-pmod"}) {
    const Calibrated done = written(source, {.data = {.path = seen}});
    EXPECT_EQ(done.records, 25);
    EXPECT_GT(done.rows, 25 * 70);
    EXPECT_EQ(done.unread, 0);
    const at::Tensor exact = logits_of(*models::open_model(kShippedModels / source), others);
    const auto error = [&](const models::Model& model) {
      return (logits_of(model, others) - exact).square().mean().item<double>();
    };
    const double plain = error(*models::open_model(kShippedModels / source, {.weights = models::WeightStorage::int4})),
                 calibrated = error(*models::open_model(out_));
    EXPECT_LT(calibrated, 0.7 * plain) << source;
    EXPECT_GT(calibrated, 0);
  }
}

TEST_F(Calibrating, TheSameSeedDrawsTheSameRecords) {
  const std::string data = shipped_questions(folder_, "data.jsonl", 0, 40, 12);
  const auto file_of = [&](uint64_t seed) {
    EXPECT_EQ(written("easyvqa-dense", {.data = {.path = data}, .records = 3, .seed = seed}).records, 3);
    return read_regular_file(out_ / "model.safetensors", std::size_t{1} << 30);
  };
  const std::string first = file_of(1);
  EXPECT_EQ(file_of(1), first);
  EXPECT_NE(file_of(2), first);
}

TEST_F(Calibrating, SaysWhatTheDataDoNotUse) {
  std::ofstream(folder_ / "text.jsonl") << R"({"conversations": [{"from": "human", "value": "is it red?"},)"
                                        << R"( {"from": "gpt", "value": "no"}]})"
                                        << "\n";
  const Calibrated done = written("easyvqa-dense", {.data = {.path = folder_ / "text.jsonl"}});
  const auto model = models::open_model(out_);
  EXPECT_EQ(done.records, 1);
  EXPECT_GT(done.unread, 0);
  const auto plain = models::open_model(kShippedModels / "easyvqa-dense", {.weights = models::WeightStorage::int4});
  int64_t same = 0;
  std::map<models::WeightName, at::Tensor> numbers;
  visit(*plain, [&](const models::HeldWeight& held) { numbers[held.name] = held.weight.widened(at::kFloat); });
  visit(*model, [&](const models::HeldWeight& held) {
    const bool sees = held.name.part != models::Part::decoder;
    if (!held.linear || std::string(held.weight.storage()) != "int4") return;
    const bool equal = at::equal(numbers.at(held.name), held.weight.widened(at::kFloat));
    EXPECT_EQ(equal, sees) << text_of(held.name);
    same += equal ? 1 : 0;
  });
  EXPECT_EQ(same, done.unread);
}

/// A plan under which vision tokens offer keys but ask nothing: the first layer's keys and values read the rows that
/// they read in the dense model, its queries only those of the text.
TEST_F(Calibrating, SumsForEachProductTheRowsThatThePlanGivesIt) {
  const std::string data = shipped_questions(folder_, "data.jsonl", 0, 40, 8);
  written("easyvqa-dense", {.data = {.path = data}});
  std::map<models::Role, at::Tensor> dense = first_attention();
  const fs::path skipping = folder_ / "skipping";
  fs::copy(kShippedModels / "easyvqa-dense", skipping, fs::copy_options::recursive);
  std::ofstream(skipping / "plan.json")
      << R"({"format": "lithe-plan/1", "name": "skip", "method": "vision-attention-skip", "from": 0})";
  EXPECT_EQ(written(skipping, {.data = {.path = data}}).unread, 0);
  std::map<models::Role, at::Tensor> skipped = first_attention();
  for (const models::Role role : {models::Role::key, models::Role::value})
    EXPECT_TRUE(at::equal(skipped.at(role), dense.at(role)));
  EXPECT_FALSE(at::equal(skipped.at(models::Role::query), dense.at(models::Role::query)));
}

TEST_F(Calibrating, RefusesWhatItCannotUse) {
  const std::string data = shipped_questions(folder_, "data.jsonl", 0, 40, 2);
  const auto said = [&](const CalibrationOptions& calibration, models::WeightStorage weights) {
    return sentence_of(
        [&] { quantise_for(calibration, kShippedModels / "easyvqa-dense", out_, {.weights = weights}); });
  };
  EXPECT_NE(said({.data = {.path = data}}, models::WeightStorage::int8).find("calibrate with int4"), std::string::npos);
  std::ofstream(folder_ / "empty.json") << "[]";
  EXPECT_NE(said({.data = {.path = folder_ / "empty.json"}}, models::WeightStorage::int4).find("holds no record"),
            std::string::npos);
  std::ofstream(folder_ / "lost.jsonl") << R"({"image": "lost.png", "conversations": [)"
                                        << R"({"from": "human", "value": "<image>\nwhat?"},)"
                                        << R"( {"from": "gpt", "value": "no"}]})"
                                        << "\n";
  EXPECT_NE(said({.data = {.path = folder_ / "lost.jsonl"}}, models::WeightStorage::int4).find("lost.png"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(out_));
}

}  // namespace
}  // namespace lithe::tune
