#include "routing/run_block.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/ones_like.h>

#include <algorithm>

#include "base/error.h"
#include "ops/gpu_rows.h"
#include "ops/norm_node.h"
#include "ops/own_loops.h"
#include "routing/adapter_site.h"
#include "routing/attention_site.h"
#include "routing/cut_attention.h"
#include "routing/feed_forward_site.h"
#include "routing/with_rows.h"

namespace lithe::routing {
namespace {

/// x with `branch` joined at `rows`.  x: [active, hidden], branch: [rows, hidden]
Tensor join(const Site& site, const Tensor& x, const Rows& rows, const Tensor& branch) {
  if (rows.empty()) return x;
  if (site.join == Site::Join::post_norm) {
    const Tensor y = site.norm(rows.of(x) + branch);
    return rows.index ? at::index_copy(x, 0, *rows.index, y) : y;
  }
  return rows.index ? at::index_add(x, 0, *rows.index, branch.to(x.scalar_type())) : x + branch;
}

/// Rows that did not run the feed-forward network leave a gated layer as w x'.
Tensor weigh_bystanders(const Tensor& x, const Rows& fed, const Tensor& weight) {
  if (!fed.index) return x;
  const Tensor factor = weight.to(x.scalar_type());
  const Tensor ones = at::ones_like(fed.of(factor));
  return x * at::index_copy(factor, 0, *fed.index, ones).unsqueeze(1);
}

bool has_adapter(const Block& block) {
  return std::any_of(block.sites.begin(), block.sites.end(),
                     [](const Site& site) { return site.pia || site.adapter || site.stand_in; });
}

/// A site `self` or `cross`.  h: [active, hidden] what the sites before made of x, the active rows of the layer's input
/// `entry` -> same
class AttentionSite {
 public:
  AttentionSite(const Site& site, const Tensor& entry, const Tensor& x, SiteContext& context)
      : site_(site), self_(site.kind == Site::Kind::self), entry_(entry), x_(x), context_(context) {
    require(self_ || context.other, Fault::internal, "layer ", context.layer, ": a cross site without another stream");
  }

  Tensor run(Tensor h) const {
    const RowSets& sets = context_.sets;
    if (site_.stand_in && site_.stand_in->pia)
      h = stand_in(*site_.stand_in->pia, self_ ? sets.self_stand_in : sets.cross_stand_in, h);
    const Rows& rows = self_ ? sets.query : sets.cross_query;
    const auto* pia = std::get_if<nn::Pia>(&site_.branch);
    return pia ? stand_in(*pia, rows, h) : attend(std::get<nn::Attention>(site_.branch), rows, h);
  }

 private:
  SequenceRange all_active() const { return range_of({std::nullopt, {}, context_.sets.active.offsets}, context_); }
  Tensor normed(const Tensor& x) const {
    if (site_.join != Site::Join::pre_norm) return x;
    // In training, the norm of the layer's own rows keeps the whole input, which the router keeps anyway.
    const std::optional<Tensor>& index = context_.sets.active.index;
    const nn::Norm& norm = site_.norm;
    const bool gathers = index && x.is_same(x_) && norm.kind == nn::Norm::Kind::rms;
    return gathers && ops::has_node(entry_, norm.gain) ? ops::rms_norm_node(entry_, index, norm.gain, norm.eps)
                                                       : norm(x);
  }

  /// As the products of the attention read it.
  Tensor normed(const Tensor& x, const nn::Weight& reader) const {
    const bool at_once = site_.join == Site::Join::pre_norm && !x.device().is_cpu() && !at::GradMode::is_enabled();
    return at_once ? site_.norm(x, reader) : normed(x);
  }

  /// METER: also the PIA in place of the cross-attention reads the layer's input, not what the self site made of it.
  Tensor stand_in(const nn::Pia& pia, const Rows& rows, const Tensor& h) const {
    if (rows.empty()) return h;
    const Tensor entry = normed(x_);
    const Tensor x = rows.of(entry);
    const SequenceRange range = range_of(rows, context_);
    return join(site_, h, rows,
                self_ ? pia_branch(pia, x, range, entry, all_active())
                      : pia_branch(pia, x, range, context_.other->hidden, whole_range(context_.other->offsets)));
  }

  Tensor attend(const nn::Attention& attention, const Rows& rows, const Tensor& h) const {
    if (rows.empty() && !(self_ && !context_.sets.key_value.empty())) {
      if (site_.adapter) freeze_idle(*site_.adapter, normed(h), all_active(), context_, site_.kind);
      return h;
    }
    Tensor input = site_.adapter ? normed(h) : normed(h, attention.query.weight);
    if (site_.adapter) input = apply_rep_adapter(*site_.adapter, input, all_active(), context_, site_.kind);
    if (!self_) return join(site_, h, rows, cross_attention(attention, input, context_));
    return join(
        site_, h, rows,
        site_.cut ? cut_attention(attention, input, context_, *site_.cut) : self_attention(attention, input, context_));
  }

  const Site& site_;
  const bool self_;
  const Tensor &entry_, &x_;
  SiteContext& context_;
};

/// The active rows of what a layer reads.
struct ActiveRows {
  Tensor x;                               // [active, hidden]
  std::optional<ops::RopeAngles> angles;  // of the active rows
  std::optional<Tensor> weight;           // [active]
};

/// By one kernel, on a GPU.
ActiveRows gathered(const Tensor& x, const ops::RopeAngles& angles, const Tensor& weight, const Tensor& index) {
  const std::vector<Tensor> rows = ops::gpu_gather({x, angles.cosine, angles.sine, weight}, index);
  return {rows[0], ops::RopeAngles{rows[1], rows[2]}, rows[3]};
}

ActiveRows active_rows(const RowSets& sets, const Tensor& x, const Batch& batch) {
  if (!sets.active.index) return {x, batch.angles, sets.weight};
  const Tensor& index = *sets.active.index;
  if (batch.angles && sets.weight && ops::takes_float_kernels(x) && ops::takes_float_kernels(*sets.weight) &&
      ops::takes_float_kernels(batch.angles->cosine))
    return gathered(x, *batch.angles, *sets.weight, index);
  ActiveRows rows{sets.active.of(x), std::nullopt, std::nullopt};
  if (batch.angles) rows.angles = batch.angles->rows(index);
  if (sets.weight) rows.weight = sets.active.of(*sets.weight);
  return rows;
}

/// Whether a kernel weighs what the feed-forward network gives while it adds it.
bool weighs_as_it_adds(const Site& site, const Rows& fed, const Tensor& h, const std::optional<Tensor>& weight) {
  return site.join == Site::Join::pre_norm && !fed.index && weight && !at::GradMode::is_enabled() &&
         ops::takes_float_kernels(h) && ops::takes_float_kernels(*weight);
}

/// active: rows of the layer's input `entry` -> [active, hidden]
Tensor run_sites(const Block& block, const RowSets& sets, const Tensor& entry, const ActiveRows& active,
                 const LayerInput& input) {
  const Batch& batch = input.batch;
  const auto& [x, angles, weight] = active;
  SiteContext context{batch, sets, input.layer, input.other, input.recorded, sets.active.of(batch.order), {}, {}};
  if (!batch.draws.empty()) context.draws = sets.active.of(batch.draws);
  context.angles = angles;
  const std::optional<Tensor> fed_weight = weight ? std::optional(sets.feed_forward.of(*weight)) : std::nullopt;
  Tensor h = x;
  for (const Site& site : block.sites) {
    if (site.kind != Site::Kind::feed_forward) {
      h = AttentionSite(site, entry, x, context).run(h);
    } else if (weighs_as_it_adds(site, sets.feed_forward, h, fed_weight)) {
      if (const auto fed = feed_forward(site, h, std::nullopt, context))
        h = ops::gpu_add_weighted(h, *fed, *fed_weight);
    } else if (const auto fed = feed_forward(site, sets.feed_forward.of(h), fed_weight, context)) {
      h = join(site, h, sets.feed_forward, *fed);
    }
  }
  return weight ? weigh_bystanders(h, sets.feed_forward, *weight) : h;
}

}  // namespace

Tensor run_block(const Block& block, const RowSets& sets, const Tensor& x, const LayerInput& input) {
  const ActiveRows active = active_rows(sets, x, input.batch);
  const bool idle = sets.active.empty() && !has_adapter(block);
  const Tensor y = idle ? active.x : run_sites(block, sets, x, active, input);
  const bool only_active_go_on = sets.survivors.list == sets.active.list && !sets.survivors.index == !sets.active.index;
  if (only_active_go_on) return y;
  if (!sets.active.index) return sets.survivors.of(y);
  const Tensor& index = *sets.active.index;
  if (sets.active.places && ops::takes_float_kernels(x) && ops::takes_float_kernels(y) &&
      ops::takes_float_kernels(*sets.weight))
    return sets.survivors.of(ops::gpu_merge(x, *sets.weight, y, *sets.active.places));
  return sets.survivors.of(sets.weight ? with_rows(x * sets.weight->unsqueeze(1).to(x.scalar_type()), index, y)
                                       : at::index_copy(x, 0, index, y));
}

}  // namespace lithe::routing
