// Dropout of METER's adapters: it depends on the seed and the record alone, also when texts and pictures are paired,
// and it is off wherever nothing is learnt.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <cmath>

#include "data/data_set.h"
#include "tune/meter_case.h"
#include "tune/meter_loss.h"
#include "tune/meter_ready.h"
#include "tune/meter_trainer.h"
#include "tune/run.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

/// A METER with RepAdapters, PIAs in both streams, and dropout in all of them.
class MeterDropoutTest : public test::MeterCase {
 protected:
  MeterDropoutTest() {
    recipe_.eas.emplace();
    recipe_.eas->skip_layers = {1, 8, 12, 20};
    recipe_.eas->rep_dim = recipe_.eas->pia_dim = 4;
    recipe_.eas->dropout = 0.3;
    recipe_.max_steps = 6;
  }

  void open() {
    ready_ = ready_meter(recipe_, {});
    for (const Parameter& parameter : learning_parameters(*ready_.meter)) {  // so that what adapters add is not 0
      const at::NoGradGuard no_gradient;
      Tensor(parameter.values).add_(0.05);
    }
    const SampleMaker<MeterSample> maker = sample_maker(ready_);
    const auto set = data::DataSet::open({.path = recipe_.data.front().path, .images = recipe_.data.front().images});
    samples_.clear();
    for (int64_t i = 0; i < set->size(); ++i) {
      samples_.push_back(maker(set->read(i)));
      samples_.back().draw = static_cast<uint64_t>(100 + i);
    }
    trainer_.emplace(*ready_.meter, ready_.task, ready_.plan, MeterTrainer::Options{.dropout = true});
  }

  std::vector<double> run_losses(const std::string& output) {
    recipe_.output_dir = (temp_ / output).string();
    run(recipe_);
    return losses();
  }

  ReadyMeter ready_;
  std::vector<MeterSample> samples_;
  std::optional<MeterTrainer> trainer_;
};

TEST_F(MeterDropoutTest, LeavesOutTheSameHoweverSamplesArePacked) {
  for (const auto& [head, answer, pictures] : {std::tuple("snli", "neutral", 1), std::tuple("nlvr2", "true", 2)}) {
    ask(head, answer, answer, pictures);
    open();
    const MeterBatch all(samples_);
    const double together = trainer_->loss(all, true);
    double apart = 0;
    for (size_t i = 0; i < all.size(); ++i) apart += trainer_->loss(all.subspan(i, 1), true);
    EXPECT_NEAR(together, apart / static_cast<double>(all.size()), 1e-5 * together) << head;
    std::vector<MeterSample> turned(samples_.rbegin(), samples_.rend());
    EXPECT_NEAR(trainer_->loss(turned, true), together, 1e-5 * together) << head;
    EXPECT_GT(std::abs(trainer_->loss(all, false) - together), 1e-4 * together) << head;
    turned.front().draw += 1;
    EXPECT_GT(std::abs(trainer_->loss(turned, true) - together), 1e-5 * together) << head;
  }
}

TEST_F(MeterDropoutTest, APairLeavesOutTheSameBesideOtherPairs) {
  ask("irtr", "yes", "yes");
  open();
  const at::NoGradGuard no_gradient;
  const MeterBatch all(samples_);
  const Tensor three = trainer_->logits(all.subspan(0, 3), true), two = trainer_->logits(all.subspan(0, 2), true);
  const auto at = [](const Tensor& scores, int64_t picture, int64_t text) {
    return scores[picture][text].item<double>();
  };
  // The first picture with its own text and with the next one.
  EXPECT_NEAR(at(three, 0, 0), at(two, 0, 0), 1e-5);
  EXPECT_NEAR(at(three, 0, 1), at(two, 0, 1), 1e-5);
  EXPECT_GT((trainer_->logits(all.subspan(0, 3)) - three).abs().max().item<double>(), 1e-4);
}

/// Half a step either way along the gradient moves the loss by as much, with what is left out held fixed.
TEST_F(MeterDropoutTest, TheGradientIsTheSlope) {
  ask("snli", "entailment", "contradiction");
  open();
  const MeterBatch all(samples_);
  const Tensor labels = at::tensor(at::ArrayRef<int64_t>({2, 0, 2, 0, 2, 0, 2, 0}), at::kLong);
  const auto loss = [&] { return class_loss(trainer_->logits(all, true), labels); };
  loss().backward();
  std::vector<std::pair<Tensor, Tensor>> directions;
  double squares = 0;
  for (const Parameter& parameter : learning_parameters(*ready_.meter)) {
    if (!parameter.values.grad().defined()) continue;
    directions.emplace_back(parameter.values, parameter.values.grad().clone());
    squares += directions.back().second.square().sum().item<double>();
  }
  const double norm = std::sqrt(squares), step = 2e-3;
  const at::NoGradGuard no_gradient;
  const auto moved = [&](double by) {
    for (auto& [values, direction] : directions) values.add_(direction, by / norm);
    return loss().item<double>();
  };
  const double above = moved(step / 2), below = moved(-step);
  EXPECT_NEAR((above - below) / step, norm, 0.03 * norm);
}

TEST_F(MeterDropoutTest, IsOffWhereNothingIsLearnt) {
  ask("snli", "entailment", "contradiction");
  open();
  const MeterTrainer without(*ready_.meter, ready_.task, ready_.plan, {});
  const double loss = without.loss(samples_);
  EXPECT_EQ(without.loss(samples_, true), loss);
  EXPECT_EQ(trainer_->loss(samples_), loss);
  EXPECT_NE(trainer_->loss(samples_, true), loss);
}

// Also of adapters that the model came with. Its weights stay as they are, so that only dropout makes a difference.
TEST_F(MeterDropoutTest, IsOffWhenARunIsEvaluated) {
  ask("snli", "entailment", "contradiction");
  recipe_.learning_rate = 1e-2;
  recipe_.model_name_or_path = run(recipe_).output.string();
  recipe_.eval_data = recipe_.data;
  recipe_.learning_rate = 0;
  recipe_.max_steps = 1;
  recipe_.output_dir = (temp_ / "with").string();
  const RunResult with = run(recipe_);
  recipe_.eas->dropout = 0;
  recipe_.output_dir = (temp_ / "without").string();
  const RunResult without = run(recipe_);
  EXPECT_NE(with.last_loss, without.last_loss);
  EXPECT_EQ(with.last_evaluation->loss, without.last_evaluation->loss);
}

TEST_F(MeterDropoutTest, ARunGoesOnToTheSameLosses) {
  ask("nlvr2", "true", "false", 2);
  recipe_.learning_rate = 1e-2;
  const std::vector<double> whole = run_losses("whole");
  EXPECT_EQ(run_losses("again"), whole);  // the same seed, the same run

  recipe_.output_dir = (temp_ / "stopped").string();
  test::run_until(recipe_, 3);
  recipe_.resume_from_checkpoint = "";
  EXPECT_EQ(run_losses("stopped"), whole);
  recipe_.resume_from_checkpoint.reset();

  recipe_.per_device_train_batch_size = 2;
  recipe_.gradient_accumulation_steps = 2;
  const std::vector<double> in_parts = run_losses("parts");
  ASSERT_EQ(in_parts.size(), whole.size());
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(in_parts[i], whole[i], 1e-4 * whole[i]) << i;

  recipe_.eas->dropout = 0;
  EXPECT_NE(run_losses("without"), in_parts);
}

TEST_F(MeterDropoutTest, ASearchComparesDrawsWithDropoutIfItIsAsked) {
  ask("snli", "entailment", "contradiction");
  recipe_.eas->skip_layers.clear();
  recipe_.eas->skip_count = 4;
  recipe_.eas->search.steps = 1;
  recipe_.eas->search.warmup_steps = 0;
  recipe_.eas->search.every_steps = 1;
  recipe_.eas->search.held_out = 1;
  recipe_.learning_rate = 1e-2;
  const auto compared = [&](bool dropout, const char* output) {
    recipe_.eas->search.evaluate_with_dropout = dropout;
    recipe_.output_dir = (temp_ / output).string();
    search(recipe_, {});
    Json losses = Json::array();
    const Json scores = read_json_file(fs::path(recipe_.output_dir) / "scores.json");
    for (const Json& draw : scores.at("draws"))
      if (draw.at("kind") == "compare") losses.push_back(draw.at("loss"));
    return losses;
  };
  const Json without = compared(false, "without"), with = compared(true, "with");
  EXPECT_EQ(without.size(), 3U);
  EXPECT_NE(without, with);
}

}  // namespace
}  // namespace lithe::tune
