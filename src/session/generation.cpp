#include "session/generation.h"

#include <ATen/ops/tensor.h>

#include <numeric>

namespace lithe::session {

Generation::Generation(const models::Model& model, const plan::Plan& plan) : model_(&model), plan_(&plan), states_(model.decoder.blocks.size()) {}

Tensor Generation::prefill(const Tensor& x, const std::vector<routing::RowKind>& kinds, const routing::Observer& observer) {
  routing::Batch batch;
  batch.sequences.push_back({.plan = plan_, .states = states_, .prompt = true});
  batch.offsets = {0, x.size(0)};
  batch.positions.resize(static_cast<size_t>(x.size(0)));
  std::iota(batch.positions.begin(), batch.positions.end(), 0);
  batch.kinds = kinds;
  Tensor out = model_->decoder.forward(std::move(batch), x, observer);
  position_ = prompt_length_ = x.size(0);
  prompt_rows_ = rows_held();
  return out;
}

Tensor Generation::step(int64_t id) {
  const Tensor ids = at::tensor(id, at::kLong).view({1}).to(model_->decoder.embeddings.device());
  routing::Batch batch;
  batch.sequences.push_back({.plan = plan_, .states = states_, .prompt = false});
  batch.offsets = {0, 1};
  batch.positions = {position_++};
  batch.kinds = {routing::RowKind::text};
  return model_->decoder.forward(std::move(batch), model_->decoder.embed(ids));
}

void Generation::reserve(int64_t rows) {
  for (nn::LayerState& state : states_) state.reserve(state.length() + rows);
}

void Generation::rewind() {
  for (size_t layer = 0; layer < states_.size(); ++layer) states_[layer].truncate(prompt_rows_[layer]);
  position_ = prompt_length_;
}

std::vector<int64_t> Generation::rows_held() const {
  std::vector<int64_t> rows;
  for (const nn::LayerState& state : states_) rows.push_back(state.length());
  return rows;
}

int64_t Generation::bytes_held() const {
  return std::accumulate(states_.begin(), states_.end(), int64_t{0}, [](int64_t sum, const nn::LayerState& state) { return sum + state.bytes(); });
}

std::vector<int64_t> positions_run(const routing::LayerReport& report) {
  const routing::Rows &active = report.rows->active, &fed = report.rows->feed_forward;
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < fed.count(); ++i) {
    const int64_t in_active = fed.index ? fed.list[static_cast<size_t>(i)] : i;
    const int64_t row = active.index ? active.list[static_cast<size_t>(in_active)] : in_active;
    positions.push_back(report.batch->positions[static_cast<size_t>(row)]);
  }
  return positions;
}

}  // namespace lithe::session
