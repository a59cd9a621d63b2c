#include "tune/packing.h"

#include <ATen/ops/cat.h>

#include <algorithm>

#include "session/prompt_rows.h"
#include "text/labels.h"

namespace lithe::tune {
namespace {

/// Every picture of the samples, through the tower in one pass.
std::vector<models::ImageRows> encode(const models::Model& model, const plan::Plan& plan,
                                      std::span<const Sample> samples) {
  std::vector<models::TowerInput> pictures;
  for (const Sample& sample : samples)
    for (const auto& picture : sample.pictures) pictures.push_back({picture, &plan});
  return pictures.empty() ? std::vector<models::ImageRows>{} : model.seeing().encode(pictures);
}

/// The label of each row: that of its token, and nothing is learnt of a picture's rows.
std::vector<int64_t> labels_of_rows(const Sample& sample, std::span<const models::ImageRows> pictures) {
  std::vector<int64_t> labels;
  size_t next = 0;
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    const bool picture = sample.ids[i] == text::kImageId;
    labels.insert(labels.end(), picture ? pictures[next++].kinds.size() : 1,
                  picture ? text::kIgnored : sample.labels[i]);
  }
  return labels;
}

}  // namespace

int64_t TrainingRows::learnt() const {
  return rows() - std::count(targets.begin(), targets.end(), text::kIgnored);
}

TrainingRows pack_samples(const models::Model& model, const plan::Plan& plan, std::span<const Sample> samples,
                          int64_t longest) {
  const std::vector<models::ImageRows> pictures = encode(model, plan, samples);
  TrainingRows packed;
  packed.batch.offsets = {0};
  std::vector<Tensor> embeddings;
  size_t first = 0;
  for (const Sample& sample : samples) {
    const std::span own = std::span(pictures).subspan(first, sample.pictures.size());
    first += own.size();
    const session::PromptRows rows = session::merge(model, sample.ids, own);
    const auto count = static_cast<size_t>(std::min(rows.rows(), longest));
    embeddings.push_back(rows.embeddings.narrow(0, 0, static_cast<int64_t>(count)));
    packed.batch.add({.plan = &plan}, std::span(rows.kinds).first(count));
    std::vector<int64_t> labels = labels_of_rows(sample, own);
    labels.resize(count);
    packed.targets.insert(packed.targets.end(), labels.begin() + 1, labels.end());
    packed.targets.push_back(text::kIgnored);
  }
  packed.embeddings = embeddings.size() == 1 ? embeddings.front() : at::cat(embeddings);
  return packed;
}

}  // namespace lithe::tune
