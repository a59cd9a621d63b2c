#include "routing/executor.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "base/error.h"
#include "routing/adapter_site.h"
#include "routing/attention_site.h"

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

/// The values at these rows.
template <class T>
std::vector<T> at_list(const std::vector<T>& all, const std::vector<int64_t>& list) {
  std::vector<T> some;
  some.reserve(list.size());
  for (const int64_t row : list) some.push_back(all[static_cast<size_t>(row)]);
  return some;
}

/// x with `branch` joined at `rows`.  x: [active, hidden], branch: [rows, hidden], weight: [active] or absent.
Tensor join(const Site& site, const Tensor& x, const Rows& rows, const Tensor& branch,
            const std::optional<Tensor>& weight) {
  if (rows.empty()) return x;
  const bool gated = weight && site.kind == Site::Kind::feed_forward;
  const Tensor b = gated ? branch * rows.of(*weight).unsqueeze(1).to(branch.scalar_type()) : branch;
  if (site.join == Site::Join::post_norm) {
    const Tensor y = site.norm(rows.of(x) + b);
    return rows.index ? at::index_copy(x, 0, *rows.index, y) : y;
  }
  return rows.index ? at::index_add(x, 0, *rows.index, b) : x + b;
}

/// Rows that did not run the feed-forward network leave a gated layer as w x'.
Tensor weigh_bystanders(const Tensor& x, const Rows& fed, const Tensor& weight) {
  Tensor factor = weight.to(x.scalar_type());
  if (!fed.index) return x;
  const Tensor ones = at::ones_like(fed.of(factor));
  return x * at::index_copy(factor, 0, *fed.index, ones).unsqueeze(1);
}

bool has_adapter(const Block& block) {
  return std::any_of(block.sites.begin(), block.sites.end(), [](const Site& site) { return site.pia || site.adapter; });
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
          " of ", layers_, ", ", x.size(0), " rows where ", batch_.rows(), " are alive");
  const RowSets sets = resolve(batch_, block, stream_, layer, x, scores_);
  const Tensor active = sets.active.of(x);
  Tensor y = sets.active.empty() && !has_adapter(block) ? active : run_sites(block, layer, active, sets, other);
  const bool only_active_go_on = sets.survivors.list == sets.active.list && !sets.survivors.index == !sets.active.index;
  if (!only_active_go_on) {
    const Tensor passed = sets.weight ? x * sets.weight->unsqueeze(1).to(x.scalar_type()) : x;
    if (sets.active.index) y = at::index_copy(passed, 0, *sets.active.index, y);
    y = sets.survivors.of(y);
  }
  if (observer_) observer_({layer, &batch_, &sets, y});
  if (sets.survivors.index) keep_survivors(sets.survivors);
  return y;
}

Tensor Executor::run_sites(const Block& block, int64_t layer, const Tensor& x, const RowSets& sets,
                           const std::optional<OtherStream>& other) {
  SiteContext context{batch_,
                      sets,
                      layer,
                      other,
                      watched_,
                      scores_,
                      sets.active.index ? at_list(batch_.positions, sets.active.list) : batch_.positions,
                      std::nullopt};
  if (batch_.angles) context.angles = sets.active.index ? batch_.angles->rows(*sets.active.index) : *batch_.angles;
  const std::optional<Tensor> weight = sets.weight ? std::optional<Tensor>(sets.active.of(*sets.weight)) : std::nullopt;
  Tensor h = x;
  for (const Site& site : block.sites) {
    const bool feeds = site.kind == Site::Kind::feed_forward, self = site.kind == Site::Kind::self;
    const Rows& rows = feeds ? sets.feed_forward : self ? sets.query : sets.cross_query;
    const bool normed = site.join == Site::Join::pre_norm;
    if (rows.empty() && !(self && !sets.key_value.empty())) {
      const Tensor input = feeds ? rows.of(h) : h;
      if (site.pia || site.adapter)
        freeze_idle(site, normed ? site.norm(input) : input, (feeds ? rows : sets.active).offsets, context);
      continue;
    }
    if (feeds) {
      Tensor input = normed ? site.norm(rows.of(h)) : rows.of(h);
      if (site.pia) input = apply_pia(*site.pia, input, rows.offsets, context);
      if (site.adapter) input = apply_rep_adapter(*site.adapter, input, rows.offsets, context, site.kind);
      h = join(site, h, rows, std::get<nn::Mlp>(site.branch)(input), weight);
      continue;
    }
    require(self || other, Fault::internal, "layer ", layer, ": a cross site without another stream");
    if (const auto* pia = std::get_if<nn::Pia>(&site.branch)) {
      // METER: also the PIA in place of the cross-attention reads the layer's input, not what the self site made of it.
      const Tensor entry = normed ? site.norm(x) : x;
      h = join(
          site, h, rows,
          pia_branch(*pia, rows.of(entry), rows.offsets, self ? OtherStream{entry, sets.active.offsets, {}} : *other),
          weight);
      continue;
    }
    Tensor input = normed ? site.norm(h) : h;
    if (site.adapter) input = apply_rep_adapter(*site.adapter, input, sets.active.offsets, context, site.kind);
    const auto& attention = std::get<nn::Attention>(site.branch);
    h = join(site, h, rows,
             self ? self_attention(attention, input, context) : cross_attention(attention, input, context), weight);
  }
  return weight ? weigh_bystanders(h, sets.feed_forward, *weight) : h;
}

void Executor::keep_survivors(const Rows& survivors) {
  batch_.positions = at_list(batch_.positions, survivors.list);
  batch_.kinds = at_list(batch_.kinds, survivors.list);
  batch_.offsets = survivors.offsets;
  if (batch_.angles) batch_.angles = batch_.angles->rows(*survivors.index);
}

}  // namespace lithe::routing
