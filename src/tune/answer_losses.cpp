#include "tune/answer_losses.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "session/counted_cost.h"
#include "session/prompt_rows.h"
#include "tune/loss.h"
#include "tune/record_passes.h"

namespace lithe::tune {
namespace {

auto key_of(const plan::PromptShape& shape) {
  return std::tuple(shape.vision_tokens, shape.high_res_tokens, shape.text_tokens, shape.text_before);
}

}  // namespace

AnswerLosses::AnswerLosses(const models::Model& model, plan::Plan first, const data::DataSet& set,
                           std::span<const int64_t> records)
    : model_(model), first_(std::move(first)) {
  each_pass({model_, first_, {.longest = session::longest_sequence(model_)}}, set, records,
            [this](TrainingRows rows) { add(std::move(rows)); });
}

void AnswerLosses::add(TrainingRows rows) {
  const TrainingRows& pass = passes_.emplace_back(std::move(rows));
  tokens_ += pass.learnt();
  const routing::Batch& batch = pass.batch;
  for (size_t i = 0; i < batch.sequences.size(); ++i) {
    const int64_t begin = batch.offsets[i], rows = batch.offsets[i + 1] - begin;
    const std::span kinds = std::span(batch.kinds).subspan(static_cast<size_t>(begin), static_cast<size_t>(rows));
    const plan::PromptShape shape =
        session::prompt_shape(kinds.first(static_cast<size_t>(std::min(rows, batch.sequences[i].prompt_end))));
    const auto same = std::find_if(prompts_.begin(), prompts_.end(), [&](const CountedPrompts& prompts) {
      return key_of(prompts.shape) == key_of(shape);
    });
    if (same == prompts_.end())
      prompts_.push_back({shape, 1});
    else
      ++same->count;
  }
}

double AnswerLosses::nll(const plan::Plan& plan) const {
  const at::NoGradGuard no_gradient;
  double sum = 0;
  for (const TrainingRows& pass : passes_) {
    TrainingRows rows = pass;
    for (routing::Sequence& sequence : rows.batch.sequences) sequence.plan = &plan;
    sum += summed_loss(model_.decoder, rows).item<double>();
  }
  const double nll = sum / static_cast<double>(std::max<int64_t>(1, tokens_));
  require(std::isfinite(nll), Fault::bad_file, model_.name, ": the loss under the plan '", plan.name,
          "' is not finite; are the weights damaged?");
  return nll;
}

}  // namespace lithe::tune
