#include "session/generation.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>

#include "session/prompt_rows.h"

namespace lithe::session {

Generation::Generation(const models::Model& model, std::shared_ptr<const plan::Plan> plan)
    : model_(&model), plan_(std::move(plan)), states_(model.decoder.blocks.size(), model.decoder.empty_state()) {}

void Generation::enter_prompt(routing::Batch& batch, std::span<const routing::RowKind> kinds,
                              const routing::Places& places) {
  batch.add({.plan = plan_.get(), .states = states_, .picture_scores = picture_scores_}, kinds, position_, places);
  position_ += static_cast<int64_t>(kinds.size());
  place_.axes = places.size();
  if (places.empty()) place_.next = position_;
  for (const std::vector<int64_t>& axis : places) {
    if (!axis.empty()) place_.next = std::max(place_.next, *std::max_element(axis.begin(), axis.end()) + 1);
  }
}

void Generation::enter_tokens(routing::Batch& batch, int64_t count) {
  const std::vector<routing::RowKind> kinds(static_cast<size_t>(count), routing::RowKind::text);
  std::vector<int64_t> places(static_cast<size_t>(count));
  const bool repeats = model_->decoder.config.repeats_place;
  std::iota(places.begin(), places.end(), repeats ? position_ - 1 : place_.next);
  batch.add({.plan = plan_.get(), .states = states_, .prompt_end = 0}, kinds, position_,
            routing::Places(repeats ? 1 : place_.axes, places));
  position_ += count;
  place_.next += count;
}

Tensor Generation::prefill(const Tensor& x, std::span<const routing::RowKind> kinds, const routing::Observer& observer,
                           const routing::Places& places) {
  routing::Batch batch;
  enter_prompt(batch, kinds, places);
  return model_->decoder.forward(std::move(batch), x, observer);
}

Tensor Generation::prefill(const PromptRows& prompt, const routing::Observer& observer) {
  score_pictures(prompt.picture_scores);
  return prefill(prompt.embeddings, prompt.kinds, observer, prompt.places);
}

Tensor Generation::step(int64_t id) {
  const Tensor ids = at::tensor(id, at::kLong).view({1});
  routing::Batch batch;
  enter_tokens(batch);
  return model_->decoder.forward(std::move(batch), model_->decoder.embed(ids));
}

void Generation::reserve(int64_t rows) {
  for (nn::LayerState& state : states_) state.reserve(state.length() + rows);
}

void Generation::rewind(const Mark& mark) {
  position_ = mark.position;
  place_ = mark.place;
  if (position_ == 0)
    return states_.assign(states_.size(), model_->decoder.empty_state());  // gives their memory back too
  for (size_t layer = 0; layer < states_.size(); ++layer) states_[layer].truncate(mark.rows[layer]);
}

void Generation::keep(int64_t rows) {
  for (nn::LayerState& state : states_) {
    const std::vector<int64_t>& positions = state.positions();
    state.truncate(std::lower_bound(positions.begin(), positions.end(), rows) - positions.begin());
  }
  position_ = std::min(position_, rows);
  place_ = {};
}

Generation Generation::first(int64_t rows) const {
  Generation some = *this;
  for (nn::LayerState& state : some.states_) state.reserve(0);  // what this one reserved is its own
  some.keep(rows);
  some.picture_scores_ = nullptr;
  return some;
}

void Generation::fit() {
  for (nn::LayerState& state : states_) state.fit();
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
    positions.push_back(report.batch->order[static_cast<size_t>(row)]);
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
