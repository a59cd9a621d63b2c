#include "tune/packing.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/zeros_like.h>

#include "base/error.h"
#include "data/data_set.h"
#include "plan/parse.h"
#include "text/labels.h"
#include "tune/loss.h"
#include "tune/parameters.h"
#include "tune/support.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using test::golden;

/// Several questions about each of two pictures.
fs::path write_questions(const test::TempFolder& folder) {
  Json records = Json::array();
  for (const char* const picture : {"image0.png", "image1.png"}) {
    for (const auto& [question, answer] :
         {std::pair("What is it?", "A pier."), std::pair("How many boats are there?", "Two, and one more."),
          std::pair("Where?", "On the lake.")}) {
      records.push_back(
          {{"image", picture},
           {"conversations",
            {{{"from", "human"}, {"value", concat("<image>\n", question)}}, {{"from", "gpt"}, {"value", answer}}}}});
    }
  }
  std::ofstream(folder / "questions.json") << records;
  return folder / "questions.json";
}

/// Questions see every row of a picture, answers half of them.
constexpr const char* kCompression =
    R"({"format": "lithe-plan/1", "name": "compression", "layers": [{"layer": 2, "rules": [
    {"group": "vision", "keep_share": 0.5, "by": "uniform", "others_return": true,
     "others": {"query": true, "key_value": true, "cache": false, "feed_forward": true}}]}]})";

struct PackingCase {
  test::TempFolder folder;
  std::unique_ptr<models::Model> model;
  std::vector<Sample> samples;

  PackingCase() {
    model =
        models::open_model(test::copy_of_pmod(folder),
                           {.learns = [](const models::WeightName& name) { return name.part != models::Part::tower; }});
    const auto set = data::DataSet::open({.path = write_questions(folder), .images = golden("pmod_train") / "inputs"});
    for (int64_t i = 0; i < set->size(); ++i)
      samples.push_back(make_sample(*model, set->read(i), {.conversation = "vicuna_v1"}));
  }

  /// The summed loss, and the gradients of all that learns.
  std::pair<double, std::vector<Tensor>> run(const plan::Plan& plan, bool share) {
    std::vector<Tensor> gradients;
    const TrainingRows rows = pack_samples(*model, plan, samples, {.share_images = share});
    const Tensor loss = summed_loss(model->decoder, rows);
    loss.backward();
    for (const Parameter& parameter : learning_parameters(*model)) {
      const Tensor& gradient = parameter.values.grad();  // a dense plan asks no router
      gradients.push_back(gradient.defined() ? gradient.clone() : at::zeros_like(parameter.values));
      Tensor(parameter.values).mutable_grad().reset();
    }
    return {loss.item<double>(), gradients};
  }
};

TEST(Packing, SharedPicturesGiveTheSameLossAndGradients) {
  PackingCase opened;
  std::vector<plan::Plan> plans{opened.model->plan};
  for (const char* const name : {"dense", "shortv", "vision-attention-skip", "uniform", "divprune", "k-norm", "vtw",
                                 "class-attention", "visionzip", "prumerge-plus", "pooled-picture"})
    plans.push_back(plan::parse_plan(Json(name), "test", opened.model->facts));
  plans.push_back(plan::parse_plan(Json::parse(kCompression), "test", opened.model->facts));
  for (const plan::Plan& plan : plans) {
    const auto [loss, gradients] = opened.run(plan, false);
    const auto [shared_loss, shared_gradients] = opened.run(plan, true);
    EXPECT_NEAR(loss, shared_loss, 1e-5 * loss) << plan.name;
    for (size_t i = 0; i < gradients.size(); ++i) {
      const double most = (gradients[i] - shared_gradients[i]).abs().max().item<double>();
      EXPECT_LE(most, 1e-6 + 1e-4 * gradients[i].abs().max().item<double>()) << plan.name << ", gradient " << i;
    }
  }
}

/// The first token of a caption is predicted by the last row of the picture, and an answer before the last picture is
/// learnt by each sample.
TEST(Packing, WhatIsLearntOfABeginningIsLearntByEachSample) {
  PackingCase opened;
  const auto samples_of = [&](const Json& records, const char* conversation) {
    const fs::path file = opened.folder / "learnt.json";
    std::ofstream(file) << records;
    const auto set = data::DataSet::open({.path = file, .images = golden("pmod_train") / "inputs"});
    opened.samples.clear();
    for (int64_t i = 0; i < set->size(); ++i)
      opened.samples.push_back(make_sample(*opened.model, set->read(i), {.conversation = conversation}));
  };
  const auto expect_same = [&] {
    const auto [loss, gradients] = opened.run(opened.model->plan, false);
    EXPECT_NEAR(opened.run(opened.model->plan, true).first, loss, 1e-5 * loss);
  };
  Json captions = Json::array(), dialogues = Json::array();
  for (const char* const answer : {"A pier.", "On the lake."}) {
    captions.push_back(
        {{"image", "image0.png"},
         {"conversations", {{{"from", "human"}, {"value", "<image>"}}, {{"from", "gpt"}, {"value", answer}}}}});
    dialogues.push_back({{"image", {"image0.png", "image1.png"}},
                         {"conversations",
                          {{{"from", "human"}, {"value", "<image>\nWhat?"}},
                           {{"from", "gpt"}, {"value", "A boat."}},
                           {{"from", "human"}, {"value", "<image>\nAnd here?"}},
                           {{"from", "gpt"}, {"value", answer}}}}});
  }
  samples_of(captions, "plain");
  expect_same();
  samples_of(dialogues, "vicuna_v1");
  expect_same();
}

TEST(Packing, SharedPicturesRunOnce) {
  PackingCase opened;
  const TrainingRows apart = pack_samples(*opened.model, opened.model->plan, opened.samples, {}),
                     shared = pack_samples(*opened.model, opened.model->plan, opened.samples, {.share_images = true});
  EXPECT_EQ(shared.batch.sequences.size(), 8u);  // two beginnings and six questions
  EXPECT_EQ(apart.batch.sequences.size(), 6u);
  EXPECT_EQ(apart.learnt(), shared.learnt());
  EXPECT_LT(shared.rows() * 2, apart.rows());
}

TEST(Packing, SharingIsRefusedWhereItWouldChangeWhatIsComputed) {
  PackingCase opened;
  const auto plan = [&](const char* json) { return plan::parse_plan(Json::parse(json), "test", opened.model->facts); };
  EXPECT_NO_THROW(require_shareable(*opened.model, opened.model->plan));
  EXPECT_THROW(require_shareable(*opened.model, plan(R"({"format": "lithe-plan/1", "layers": [{"layer": 1, "rules": [
      {"group": "text", "keep_share": 0.5, "by": "uniform", "others_return": true}]}]})")),
               Error);
  EXPECT_THROW(require_shareable(*opened.model, plan(R"({"format": "lithe-plan/1", "layers": [{"layer": 1, "rules": [
      {"group": "vision", "keep_share": 0.5, "by": "attention", "others_return": false}]}]})")),
               Error);
}

TEST(Packing, AnAnswerBeginsWhereItIsLearnt) {
  PackingCase opened;
  const TrainingRows rows = pack_samples(*opened.model, opened.model->plan, opened.samples, {});
  for (size_t i = 0; i < rows.batch.sequences.size(); ++i) {
    const int64_t end = rows.batch.sequences[i].prompt_end, first = rows.batch.offsets[i];
    ASSERT_GT(end, 0);
    // The last row of the prompt predicts the first token of the answer, and no row before it predicts anything.
    EXPECT_NE(rows.targets[static_cast<size_t>(first + end - 1)], text::kIgnored);
    for (int64_t row = 0; row < end - 1; ++row)
      EXPECT_EQ(rows.targets[static_cast<size_t>(first + row)], text::kIgnored);
  }
}

}  // namespace
}  // namespace lithe::tune
