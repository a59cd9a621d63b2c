#include "routing/feed_forward_site.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include "ops/own_loops.h"
#include "ops/swiglu_node.h"
#include "routing/adapter_site.h"

namespace lithe::routing {
namespace {

/// What goes into the branch or its adapter: the site's norm and PIA, or those of the stand-in.
class Reading {
 public:
  Reading(const Site& site, const SequenceRange& all, SiteContext& context)
      : site_(site), all_(all), context_(context) {}

  /// x: [rows, hidden] -> same
  Tensor run(const Tensor& x) {
    const std::vector<int64_t>& offsets = all_.offsets;
    std::vector<Tensor> parts;
    for (size_t first = 0, end = 0; first + 1 < offsets.size(); first = end) {
      while (end + 1 < offsets.size() && off(end) == off(first)) ++end;
      SequenceRange range{first, {}, {}, {}};
      for (size_t i = first; i <= end; ++i) range.offsets.push_back(offsets[i] - offsets[first]);
      for (size_t i = first; i < end; ++i) range.scopes.push_back(all_.scopes[i]);
      if (!all_.draws.empty())
        range.draws.assign(all_.draws.begin() + offsets[first], all_.draws.begin() + offsets[end]);
      parts.push_back(read(x.narrow(0, offsets[first], range.offsets.back()), range));
    }
    return parts.size() == 1 ? parts.front() : at::cat(parts);
  }

 private:
  bool off(size_t sequence) const { return site_.stand_in && context_.sets.self_off[sequence]; }

  /// Of sequences that read the same.
  Tensor read(const Tensor& x, const SequenceRange& range) {
    const bool stands_in = off(range.first);
    const nn::Norm& norm = stands_in && site_.stand_in->norm ? *site_.stand_in->norm : site_.norm;
    const std::optional<nn::Pia>& pia = stands_in ? site_.stand_in->pia : site_.pia;
    if (site_.join == Site::Join::pre_norm && !pia && !site_.adapter)
      return norm(x, std::get<nn::Mlp>(site_.branch).up.weight);
    const Tensor input = site_.join == Site::Join::pre_norm ? norm(x) : x;
    if (!pia) return input;
    if (x.size(0) > 0) return apply_pia(*pia, input, range, context_);
    freeze_idle(*pia, input, range, context_);
    return input;
  }

  const Site& site_;
  const SequenceRange& all_;
  SiteContext& context_;
};

/// w mlp(x). While w learns, it goes in before the last product, whose result need not be kept for w's gradient then.
Tensor weighed(const nn::Mlp& mlp, const Tensor& x, const Tensor& weight, const nn::RowNotes& notes) {
  const bool learns = at::GradMode::is_enabled() && weight.requires_grad() && weight.scalar_type() == x.scalar_type();
  if (learns && mlp.gate && mlp.activation == ops::Activation::silu && !mlp.down.bias) {
    const Tensor gate = (*mlp.gate)(x, notes), up = mlp.up(x, notes);
    if (ops::has_node(gate, up)) return mlp.down(ops::swiglu_node(gate, up, weight, mlp.in_bfloat16), notes);
  }
  return mlp(x, notes).to(weight.scalar_type()) * weight.unsqueeze(1);
}

}  // namespace

std::optional<Tensor> feed_forward(const Site& site, const Tensor& x, const std::optional<Tensor>& weight,
                                   SiteContext& context) {
  const bool idle = x.size(0) == 0;
  if (idle && !site.pia && !site.adapter && !site.stand_in) return std::nullopt;
  const SequenceRange all = range_of(context.sets.feed_forward, context);
  Tensor input = Reading(site, all, context).run(x);
  if (idle) {
    if (site.adapter) freeze_idle(*site.adapter, input, all, context, site.kind);
    return std::nullopt;
  }
  if (site.adapter) input = apply_rep_adapter(*site.adapter, input, all, context, site.kind);
  const auto& mlp = std::get<nn::Mlp>(site.branch);
  const HeldNotes notes = context.notes_of(context.sets.feed_forward);
  return weight ? weighed(mlp, input, *weight, notes) : mlp(input, notes);
}

}  // namespace lithe::routing
