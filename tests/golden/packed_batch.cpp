#include "golden/packed_batch.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include "base/error.h"
#include "golden/sample_run.h"
#include "session/generation.h"

namespace lithe::golden {
namespace {

/// Positions of several sequences one after another, each ascending, cut at the start of the next one.
std::vector<std::vector<int64_t>> cut(const std::vector<int64_t>& positions, const routing::LayerReport& report) {
  const std::vector<int64_t>& offsets = report.rows->active.offsets;
  std::vector<std::vector<int64_t>> all;
  for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
    all.emplace_back(positions.begin() + offsets[s], positions.begin() + offsets[s + 1]);
  }
  return all;
}

}  // namespace

PackedRun::PackedRun(const models::Model& model, std::vector<PackedSequence> sequences)
    : model_(model), sequences_(std::move(sequences)) {
  for (std::size_t s = 0; s < sequences_.size(); ++s) states_.emplace_back(model.decoder.blocks.size());
}

routing::Batch PackedRun::batch(bool prompt) {
  const std::vector<routing::RowKind> token{routing::RowKind::text};
  routing::Batch batch;
  for (std::size_t s = 0; s < sequences_.size(); ++s) {
    const std::vector<routing::RowKind>& kinds = sequences_[s].kinds;
    const int64_t first = prompt ? 0 : static_cast<int64_t>(kinds.size()) + decoded_;
    batch.add({.plan = &model_.plan, .states = states_[s], .prompt_end = prompt ? routing::Sequence::kEveryRow : 0},
              prompt ? kinds : token, first);
  }
  return batch;
}

PackedResult PackedRun::prefill() {
  PackedResult result;
  const auto observe = [&result](const routing::LayerReport& report) {
    result.kept[report.layer] = cut(session::positions_run(report), report);
    for (const auto& weight : report.rows->router_weight) {
      result.router_weight[report.layer].push_back(weight ? values_of(*weight) : std::vector<float>{});
    }
  };
  std::vector<at::Tensor> embeddings;
  for (const PackedSequence& sequence : sequences_) embeddings.push_back(sequence.embeddings);
  const routing::Batch prompts = batch(true);
  for (std::size_t s = 0; s < sequences_.size(); ++s)
    result.places.push_back(prompts.places_of(prompts.offsets[s], prompts.offsets[s + 1]).front());
  routing::Batch alive;
  const at::Tensor hidden =
      model_.decoder.forward(prompts, at::cat(embeddings).to(model_.decoder.embeddings.device()), observe, &alive);
  const at::Tensor logits = model_.decoder.logits(hidden);
  for (std::size_t s = 0; s + 1 < alive.offsets.size(); ++s) {
    result.logits.push_back(logits.slice(0, alive.offsets[s], alive.offsets[s + 1]));
    last_.push_back(result.logits.back().slice(0, -1));
  }
  return result;
}

std::vector<std::vector<int64_t>> PackedRun::decode(int64_t steps) {
  std::vector<std::vector<int64_t>> tokens(sequences_.size());
  for (int64_t step = 0; step < steps; ++step) {
    std::vector<int64_t> ids;
    for (std::size_t s = 0; s < sequences_.size(); ++s) {
      ids.push_back(last_[s].argmax(-1).item<int64_t>());
      tokens[s].push_back(ids.back());
    }
    if (step + 1 == steps) break;
    const at::Tensor rows = model_.decoder.embed(at::tensor(at::ArrayRef<int64_t>(ids), at::kLong));
    const at::Tensor logits = model_.decoder.logits(model_.decoder.forward(batch(false), rows));
    for (std::size_t s = 0; s < sequences_.size(); ++s) last_[s] = logits.slice(0, s, s + 1);
    ++decoded_;
  }
  return tokens;
}

}  // namespace lithe::golden
