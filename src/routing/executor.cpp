#include "routing/executor.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "base/error.h"
#include "routing/recomputed_block.h"
#include "routing/selector.h"
#include "routing/text_rows.h"

namespace lithe::routing {
namespace {

plan::Reads reads(const plan::Rule& rule) {
  const Selector* selector = find_selector(rule.by);
  return selector ? selector->facts->reads : plan::Reads::nothing;
}

bool has_rule(const plan::LayerPlan* layer, plan::Reads what) {
  return layer && std::any_of(layer->rules.begin(), layer->rules.end(),
                              [what](const plan::Rule& rule) { return reads(rule) == what; });
}

/// Adds what the rules of a layer read of an attention before it.
void watch_for(const plan::LayerPlan& layer, Watch& watch) {
  if (has_rule(&layer, plan::Reads::keys)) watch.keys = true;
  if (has_rule(&layer, plan::Reads::text_attention)) watch.text = true;
  if (has_rule(&layer, plan::Reads::attention)) watch.row = Watch::Row::last_of_prompt;
}

/// For one sequence, what later rules read of each layer: each rule reads the last layer before it that has its
/// attention on.
std::vector<Watch> watched_layers(const plan::Plan* plan, const std::string& stream, int64_t layers) {
  std::vector<Watch> watched(static_cast<size_t>(layers));
  int64_t last = -1;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const plan::LayerPlan* entry = plan ? plan->find(stream, layer) : nullptr;
    if (entry && last >= 0) watch_for(*entry, watched[static_cast<size_t>(last)]);
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
  recorded_.resize(batch_.sequences.size());
  compares_.assign(static_cast<size_t>(layers) + 1, false);
  for (const Sequence& sequence : batch_.sequences) {
    const plan::Plan* plan = sequence.decodes() ? nullptr : sequence.plan;  // no rule governs what is decoded
    watched_.push_back(watched_layers(plan, stream_, layers));
    for (int64_t layer = 0; plan && layer < layers; ++layer) {
      if (has_rule(plan->find(stream_, layer), plan::Reads::change)) compares_[static_cast<size_t>(layer)] = true;
    }
  }
}

Tensor Executor::run(const Block& block, int64_t layer, Tensor x, const std::optional<OtherStream>& other) {
  require(x.size(0) == batch_.rows() && layer >= 0 && layer < layers_, Fault::internal, "Executor: layer ", layer,
          " of ", layers_, ", ", x.size(0), " rows, but ", batch_.rows(), " are alive");
  require(!recomputes_ || !other, Fault::internal, "Executor: a block that reads another stream cannot run again");
  if (layer == 0) find_text_raters(x);
  const RowSets sets = resolved(block, layer, x);
  forget_keys(sets);
  const LayerInput input{batch_, layer, other, &recorded_};
  const Tensor y = recomputes_ ? run_recomputed(block, sets, x, input) : run_block(block, sets, x, input);
  if (observer_) observer_({layer, &batch_, &sets, y});
  batch_.keep(sets.survivors);
  before_.reset();
  if (compares_[static_cast<size_t>(layer) + 1]) before_ = sets.survivors.of(x).detach();
  return y;
}

RowSets Executor::resolved(const Block& block, int64_t layer, const Tensor& x) const {
  // A block that runs again computes the weights of its rows again, so their graph would be kept for nothing.
  const at::AutoGradMode gradients(at::GradMode::is_enabled() && !recomputes_);
  RowSets sets = resolve(batch_, block, {stream_, layer, recorded_, before_}, x);
  sets.watched = watched_at(layer);
  return sets;
}

/// Rules of later layers read this layer's keys, if its attention is on: those before it are not needed any more.
void Executor::forget_keys(const RowSets& sets) {
  for (size_t i = 0; i < recorded_.size(); ++i) {
    if (!sets.self_off[i]) recorded_[i].keys.reset();
  }
}

/// Of each sequence; empty if nothing is read.
std::vector<Watch> Executor::watched_at(int64_t layer) const {
  std::vector<Watch> watched;
  for (const std::vector<Watch>& layers : watched_) watched.push_back(layers[static_cast<size_t>(layer)]);
  const bool any = std::any_of(watched.begin(), watched.end(), [](const Watch& watch) { return watch.any(); });
  return any ? watched : std::vector<Watch>{};
}

void Executor::watch_first_row(int64_t layer) {
  for (std::vector<Watch>& layers : watched_) {
    Watch& watch = layers[static_cast<size_t>(layer)];
    watch.keys = true;
    watch.row = Watch::Row::first;
  }
}

/// Names the text rows whose attention `text_attention` reads, before the first layer.  x: [rows, hidden]
void Executor::find_text_raters(const Tensor& x) {
  for (size_t i = 0; i < watched_.size(); ++i) {
    const auto reads_text = [](const Watch& watch) { return watch.text; };
    if (std::none_of(watched_[i].begin(), watched_[i].end(), reads_text)) continue;
    const std::vector<int64_t> raters = text_raters(x, batch_, i);
    for (Watch& watch : watched_[i]) watch.raters = raters;
  }
}

}  // namespace lithe::routing
