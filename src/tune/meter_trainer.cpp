#include "tune/meter_trainer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/error.h"
#include "base/mixed.h"
#include "models/meter/pixels.h"
#include "text/labels.h"
#include "tune/training_step.h"

namespace lithe::tune {
namespace {

using models::Meter;
using models::MeterTask;
using models::Pair;

/// Texts that a picture's own is ranked among, as published.
constexpr size_t kFalseTexts = 15;

/// Every other sample keeps its picture; the rest take the next sample's. So a batch of two or more has both classes.
bool matches(size_t i) {
  return i % 2 == 0;
}

/// Which texts meet which pictures. Pictures are in the order of samples.
std::vector<Pair> pairs_of(MeterTask task, size_t samples) {
  std::vector<Pair> pairs;
  for (size_t i = 0; i < samples; ++i) {
    if (task == MeterTask::nlvr2) {
      pairs.push_back({i, 2 * i, 1});
      pairs.push_back({i, 2 * i + 1, 2});
    } else if (task == MeterTask::itm) {
      pairs.push_back({i, matches(i) ? i : (i + 1) % samples});
    } else if (task == MeterTask::irtr) {
      for (size_t j = 0; j <= std::min(kFalseTexts, samples - 1); ++j) pairs.push_back({(i + j) % samples, i});
    } else {
      pairs.push_back({i, i});
    }
  }
  return pairs;
}

/// Gives each pair what dropout draws from. It depends on the pair's own text and picture alone, so it is the same in
/// any batch.
void draw(MeterTask task, MeterBatch samples, std::vector<Pair>& pairs) {
  const size_t pictures = task == MeterTask::nlvr2 ? 2 : 1;
  for (Pair& pair : pairs) {
    const uint64_t picture = mixed(samples[pair.image / pictures].draw, pair.image % pictures);
    pair.draw = mixed(samples[pair.text].draw, picture);
  }
}

Tensor tensor_of(const std::vector<int64_t>& numbers) {
  return at::tensor(at::ArrayRef<int64_t>(numbers), at::kLong);
}

/// Calls `take(row, token)` for each hidden token; rows are those of all texts.
template <class Take>
void for_each_hidden(MeterBatch samples, const Take& take) {
  int64_t row = 0;
  for (const MeterSample& sample : samples)
    for (const int64_t token : sample.hidden) {
      if (token != text::kIgnored) take(row, token);
      ++row;
    }
}

Tensor labels_of(MeterTask task, MeterBatch samples) {
  std::vector<int64_t> labels;
  if (task == MeterTask::mlm) {
    for_each_hidden(samples, [&](int64_t, int64_t token) { labels.push_back(token); });
    return tensor_of(labels);
  }
  for (size_t i = 0; i < samples.size(); ++i)
    labels.push_back(task == MeterTask::irtr ? 0 : task == MeterTask::itm ? (matches(i) ? 1 : 0) : samples[i].label);
  return tensor_of(labels);
}

/// Of `text`, [rows, hidden], the rows of hidden tokens.
Tensor hidden_rows(MeterBatch samples, const Tensor& text) {
  std::vector<int64_t> rows;
  for_each_hidden(samples, [&](int64_t row, int64_t) { rows.push_back(row); });
  return text.index_select(0, tensor_of(rows).to(text.device()));
}

int64_t rows_of(MeterTask task, MeterBatch samples, const Meter& meter) {
  int64_t rows = 0;
  for (const Pair& pair : pairs_of(task, samples.size()))
    rows += static_cast<int64_t>(samples[pair.text].text.ids.size()) + meter.tower.config.rows();
  return rows;
}

}  // namespace

std::vector<Parameter> learning_parameters(Meter& meter) {
  std::vector<Parameter> parameters;
  visit(meter, learning_into(parameters));
  return parameters;
}

MeterTrainer::MeterTrainer(Meter& meter, MeterTask task, plan::Plan plan, const Options& options)
    : meter_(meter),
      task_(task),
      plan_(std::move(plan)),
      poolers_(meter.streams.for_poolers(plan_)),
      options_(options),
      optimiser_(optimiser_for(meter, options)),
      sums_(options.ranks, optimiser_.groups()) {}

void MeterTrainer::set_plan(plan::Plan plan) {
  plan_ = std::move(plan);
  poolers_ = meter_.streams.for_poolers(plan_);
}

Tensor MeterTrainer::logits(MeterBatch samples, bool dropout) const {
  std::vector<models::TextIds> texts;
  std::vector<Tensor> pixels;
  for (const MeterSample& sample : samples) {
    texts.push_back(sample.text);
    for (const auto& picture : sample.pictures) pixels.push_back(models::pixel_tensor(picture));
  }
  const auto count = static_cast<int64_t>(samples.size());
  std::vector<Pair> pairs = pairs_of(task_, samples.size());
  if (dropout && options_.dropout) draw(task_, samples, pairs);
  const plan::Plan& plan = task_ == MeterTask::mlm ? plan_ : poolers_;
  const models::FusedRows fused = meter_.fuse(meter_.read(texts), meter_.look(at::cat(pixels)), pairs, &plan);
  const Tensor& pooled = fused.pooled;
  switch (task_) {
    case MeterTask::vqa:
      return (*meter_.heads.vqa)(pooled);
    case MeterTask::nlvr2:
      return (*meter_.heads.nlvr2)(pooled.view({count, -1}));
    case MeterTask::snli:
      return (*meter_.heads.snli)(pooled);
    case MeterTask::itm:
      return (*meter_.heads.itm)(pooled);
    case MeterTask::irtr:
      return meter_.heads.ranking(pooled).view({count, -1});
    case MeterTask::mlm:
      return (*meter_.heads.mlm)(hidden_rows(samples, fused.text.hidden));
  }
  fail(Fault::internal, "a task of METER has no head");
}

Tensor MeterTrainer::mean_loss(MeterBatch samples, bool dropout) const {
  if (labels_in(samples) == 0) return at::zeros({});  // texts so short that no token is hidden
  const Tensor scores = logits(samples, dropout);
  if (task_ != MeterTask::vqa) return class_loss(scores, labels_of(task_, samples));
  std::vector<SoftLabels> answers;
  for (const MeterSample& sample : samples) answers.push_back(sample.answers);
  return soft_label_loss(scores, soft_targets(answers, scores.size(1)));
}

MeterStep MeterTrainer::step(std::span<const MeterBatch> batches, double factor) {
  MeterStep result;
  optimiser_.forget_gradients();
  sums_.new_step();
  const std::vector<MeterBatch> filled = filled_ones(batches);
  for (const MeterBatch& batch : filled) {
    const int64_t labels = labels_in(batch);
    const Tensor loss = mean_loss(batch, true) * static_cast<double>(labels);
    const auto value = loss.item<double>();
    require_finite_loss(
        value, batch, [this](MeterBatch some) { return this->loss(some, true); }, optimiser_);
    result.loss += value;
    result.rows += rows_of(task_, batch, meter_);
    result.labels += labels;
    if (&batch == &filled.back()) sums_.last_pass();
    if (loss.requires_grad()) loss.backward();
  }
  sums_.finish();
  sum_over(options_.ranks, result);
  const double mean = 1.0 / static_cast<double>(std::max<int64_t>(result.labels, 1));
  optimiser_.scale_gradients(mean);
  result.loss *= mean;
  result.grad_norm = optimiser_.clip_gradients(options_.max_grad_norm);
  require_finite_gradient(result.grad_norm, batches, optimiser_);
  optimiser_.step(factor);
  return result;
}

double MeterTrainer::loss(MeterBatch samples, bool dropout) const {
  const at::NoGradGuard no_gradient;
  return mean_loss(samples, dropout).item<double>();
}

}  // namespace lithe::tune
