#include "session/generation.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>

namespace lithe::session {

Generation::Generation(const models::Model& model, std::shared_ptr<const plan::Plan> plan)
    : model_(&model), plan_(std::move(plan)), states_(model.decoder.blocks.size()) {}

void Generation::enter_prompt(routing::Batch& batch, std::span<const routing::RowKind> kinds) {
  const auto rows = static_cast<int64_t>(kinds.size());
  if (batch.offsets.empty()) batch.offsets.push_back(0);
  batch.sequences.push_back({.plan = plan_.get(), .states = states_, .prompt = true});
  batch.offsets.push_back(batch.offsets.back() + rows);
  for (int64_t row = 0; row < rows; ++row) batch.positions.push_back(position_++);
  batch.kinds.insert(batch.kinds.end(), kinds.begin(), kinds.end());
}

void Generation::enter_token(routing::Batch& batch) {
  if (batch.offsets.empty()) batch.offsets.push_back(0);
  batch.sequences.push_back({.plan = plan_.get(), .states = states_, .prompt = false});
  batch.offsets.push_back(batch.offsets.back() + 1);
  batch.positions.push_back(position_++);
  batch.kinds.push_back(routing::RowKind::text);
}

Tensor Generation::prefill(const Tensor& x, std::span<const routing::RowKind> kinds,
                           const routing::Observer& observer) {
  routing::Batch batch;
  enter_prompt(batch, kinds);
  return model_->decoder.forward(std::move(batch), x, observer);
}

Tensor Generation::step(int64_t id) {
  const Tensor ids = at::tensor(id, at::kLong).view({1});
  routing::Batch batch;
  enter_token(batch);
  return model_->decoder.forward(std::move(batch), model_->decoder.embed(ids));
}

void Generation::reserve(int64_t rows) {
  for (nn::LayerState& state : states_) state.reserve(state.length() + rows);
}

void Generation::rewind(const Mark& mark) {
  position_ = mark.position;
  if (position_ == 0) return states_.assign(states_.size(), {});  // gives their memory back too
  for (size_t layer = 0; layer < states_.size(); ++layer) states_[layer].truncate(mark.rows[layer]);
}

void Generation::keep(int64_t rows) {
  for (nn::LayerState& state : states_) {
    const std::vector<int64_t>& positions = state.positions();
    state.truncate(std::lower_bound(positions.begin(), positions.end(), rows) - positions.begin());
  }
  position_ = std::min(position_, rows);
}

std::vector<int64_t> Generation::rows_held() const {
  std::vector<int64_t> rows;
  for (const nn::LayerState& state : states_) rows.push_back(state.length());
  return rows;
}

int64_t Generation::bytes_held() const {
  return std::accumulate(states_.begin(), states_.end(), int64_t{0},
                         [](int64_t sum, const nn::LayerState& state) { return sum + state.bytes(); });
}

std::vector<int64_t> positions_run(const routing::LayerReport& report, size_t sequence) {
  return positions_in(report.rows->feed_forward, report, sequence);
}

std::vector<int64_t> positions_in(const routing::Rows& set, const routing::LayerReport& report, size_t sequence) {
  const routing::Rows& active = report.rows->active;
  std::vector<int64_t> positions;
  for (int64_t i = set.offsets[sequence]; i < set.offsets[sequence + 1]; ++i) {
    const int64_t in_active = set.index ? set.list[static_cast<size_t>(i)] : i;
    const int64_t row = active.index ? active.list[static_cast<size_t>(in_active)] : in_active;
    positions.push_back(report.batch->positions[static_cast<size_t>(row)]);
  }
  return positions;
}

std::vector<int64_t> positions_run(const routing::LayerReport& report) {
  std::vector<int64_t> all;
  for (size_t sequence = 0; sequence < report.batch->sequences.size(); ++sequence) {
    const std::vector<int64_t> some = positions_run(report, sequence);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace lithe::session
