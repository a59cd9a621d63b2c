#include "routing/executor.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "base/error.h"
#include "routing/recomputed_block.h"

namespace lithe::routing {
namespace {

bool reads_attention(const plan::LayerPlan& layer) {
  return std::any_of(layer.rules.begin(), layer.rules.end(),
                     [](const plan::Rule& rule) { return rule.by == "attention"; });
}

/// For one sequence, the layers whose attention a later rule reads: for each such rule the last layer before it that
/// has one on.
std::vector<bool> watched_layers(const plan::Plan* plan, const std::string& stream, int64_t layers) {
  std::vector<bool> watched(static_cast<size_t>(layers), false);
  int64_t last = -1;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const plan::LayerPlan* entry = plan ? plan->find(stream, layer) : nullptr;
    if (entry && reads_attention(*entry) && last >= 0) watched[static_cast<size_t>(last)] = true;
    if (!entry || entry->self_attention) last = layer;
  }
  return watched;
}

}  // namespace

Executor::Executor(Batch batch, std::string stream, int64_t layers)
    : batch_(std::move(batch)), stream_(std::move(stream)), layers_(layers) {
  require(batch_.offsets.size() == batch_.sequences.size() + 1 && batch_.offsets.back() == batch_.rows(),
          Fault::internal, "Executor: ", batch_.rows(), " rows, offsets end at ",
          batch_.offsets.empty() ? 0 : batch_.offsets.back());
  scores_.resize(batch_.sequences.size());
  for (const Sequence& sequence : batch_.sequences) watched_.push_back(watched_layers(sequence.plan, stream_, layers));
}

Tensor Executor::run(const Block& block, int64_t layer, Tensor x, const std::optional<OtherStream>& other) {
  require(x.size(0) == batch_.rows() && layer >= 0 && layer < layers_, Fault::internal, "Executor: layer ", layer,
          " of ", layers_, ", ", x.size(0), " rows, but ", batch_.rows(), " are alive");
  require(!recomputes_ || !other, Fault::internal, "Executor: a block that reads another stream cannot run again");
  const RowSets sets = resolved(block, layer, x);
  const LayerInput input{batch_, layer, other, &scores_};
  const Tensor y = recomputes_ ? run_recomputed(block, sets, x, input) : run_block(block, sets, x, input);
  if (observer_) observer_({layer, &batch_, &sets, y});
  batch_.keep(sets.survivors);
  return y;
}

RowSets Executor::resolved(const Block& block, int64_t layer, const Tensor& x) const {
  // A block that runs again computes the weights of its rows again, so their graph would be kept for nothing.
  const at::AutoGradMode gradients(at::GradMode::is_enabled() && !recomputes_);
  RowSets sets = resolve(batch_, block, stream_, layer, x, scores_);
  sets.watched = watched_at(layer);
  return sets;
}

/// Of each sequence; empty if no sequence's attention is read.
std::vector<bool> Executor::watched_at(int64_t layer) const {
  std::vector<bool> watched;
  for (const std::vector<bool>& layers : watched_) watched.push_back(layers[static_cast<size_t>(layer)]);
  return std::find(watched.begin(), watched.end(), true) == watched.end() ? std::vector<bool>{} : watched;
}

}  // namespace lithe::routing
