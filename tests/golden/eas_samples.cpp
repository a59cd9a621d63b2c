#include "golden/eas_samples.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/tensor.h>
#include <algorithm>

#include "golden/check.h"
#include "text/conversation.h"
#include "text/labels.h"
#include "tune/loss.h"

namespace lithe::golden {
namespace {

using at::Tensor;

int64_t rows_before_the_answer(const std::vector<int64_t>& labels) {
  const auto first = std::find_if(labels.begin(), labels.end(), [](int64_t label) { return label != text::kIgnored; });
  return first - labels.begin();
}

}  // namespace

EasSamples spliced(const models::Model& model, const TensorFile& inputs, const std::string& prefix) {
  const io::TensorView& marks = inputs.view(prefix + "input_ids");
  const std::vector<int64_t> ids = integers_of(marks), labels = integers_of(inputs.view(prefix + "labels"));
  std::vector<int64_t> given(ids.size(), 1);
  if (inputs.has(prefix + "attention_mask")) given = integers_of(inputs.view(prefix + "attention_mask"));
  const Tensor features = model.vision->tower.features(inputs[prefix + "images"]);
  const Tensor pictures =
      model.vision->projector(features.flatten(0, 1)).view({features.size(0), features.size(1), -1});
  EasSamples samples;
  const auto columns = static_cast<size_t>(marks.shape.at(1));
  for (size_t s = 0; s * columns < ids.size(); ++s) {
    std::vector<Tensor> parts;
    std::vector<int64_t>& own = samples.labels.emplace_back();
    for (size_t i = s * columns; i < (s + 1) * columns; ++i) {
      if (given[i] == 0) continue;
      const bool picture = ids[i] == text::kImageId;
      parts.push_back(picture ? pictures[static_cast<int64_t>(s)]
                              : model.decoder.embed(at::tensor({ids[i]}, at::kLong)));
      own.insert(own.end(), static_cast<size_t>(parts.back().size(0)), picture ? text::kIgnored : labels[i]);
    }
    samples.rows.push_back(at::cat(parts));
    samples.real.push_back(samples.rows.back().size(0));
  }
  return samples;
}

EasSamples padded(EasSamples samples, int64_t columns) {
  for (size_t s = 0; s < samples.rows.size(); ++s) {
    samples.rows[s] = at::constant_pad_nd(samples.rows[s], {0, 0, 0, columns - samples.real[s]});
    samples.labels[s].resize(static_cast<size_t>(columns), text::kIgnored);
  }
  return samples;
}

tune::TrainingRows rows_of(const EasSamples& samples, const plan::Plan& plan, Means means) {
  tune::TrainingRows rows{.embeddings = at::cat(samples.rows)};
  for (size_t s = 0; s < samples.rows.size(); ++s) {
    const std::vector<int64_t>& labels = samples.labels[s];
    std::vector<routing::RowKind> kinds(labels.size(), routing::RowKind::padding);
    std::fill_n(kinds.begin(), samples.real[s], routing::RowKind::text);
    routing::Sequence sequence{.plan = &plan};
    if (means == Means::prompt) sequence.prompt_end = rows_before_the_answer(labels);
    rows.batch.add(sequence, kinds);
    rows.targets.insert(rows.targets.end(), labels.begin() + 1, labels.end());
    rows.targets.push_back(text::kIgnored);
  }
  return rows;
}

Tensor mean_loss(const models::Model& model, const tune::TrainingRows& rows, const routing::Observer& observer) {
  return tune::summed_loss(model.decoder, rows, observer) / static_cast<double>(rows.learnt());
}

}  // namespace lithe::golden
