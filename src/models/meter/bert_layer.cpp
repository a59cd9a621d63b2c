#include "models/meter/bert_layer.h"

#include "models/parts/weight_slots.h"

namespace lithe::models {
namespace {

using at::Tensor;
using routing::Site;

nn::GatedUp shaped_up(const AdapterShape& shape) {
  return {Tensor(), Tensor(), std::nullopt, std::nullopt, shape.groups, shape.scale};
}

Site shaped_site(Site::Kind kind, const BertLayerConfig& config) {
  Site site{.kind = kind, .join = Site::Join::post_norm};
  site.norm = {nn::Norm::Kind::layer, Tensor(), Tensor(), config.norm_eps};
  if (config.rep) site.adapter = nn::RepAdapter{shaped_linear(true), shaped_up(*config.rep), std::nullopt};
  if (kind == Site::Kind::feed_forward) {
    site.branch = nn::Mlp{std::nullopt, shaped_linear(true), shaped_linear(true), ops::Activation::gelu};
    return site;
  }
  nn::Attention attention{shaped_linear(true), shaped_linear(true), shaped_linear(true),        shaped_linear(true),
                          config.heads,        config.heads,        config.width / config.heads};
  attention.causal = attention.rotary = false;
  site.branch = std::move(attention);
  if (config.pia) {
    nn::Pia pia{.shared = shaped_linear(true), .own = shaped_linear(true), .up = shaped_up(*config.pia)};
    pia.residual = false;
    site.stand_in = routing::StandIn{std::nullopt, std::move(pia)};
  }
  return site;
}

At at_of(Site::Kind kind) {
  if (kind == Site::Kind::cross) return At::cross;
  return kind == Site::Kind::self ? At::self : At::feed_forward;
}

void visit_up(const WeightName& name, nn::GatedUp& up, int64_t hidden, int64_t rank, const WeightVisitor& visitor) {
  visitor({name.with(Role::path1), &up.b_weight, {hidden, rank / up.groups}});
  visitor({name.with(Role::path1).with(Kind::bias), &*up.b_bias, {hidden}});
}

/// A RepAdapter's way down is called conv_C in METER, as a PIA's own path.
void visit_adapters(const WeightName& name, Site& site, const BertLayerConfig& config, const WeightVisitor& visitor) {
  if (site.adapter) {
    const WeightName rep = name.with(Adapter::rep);
    visit(rep.with(Role::own), site.adapter->down, config.rep->rank, config.width, visitor);
    visit_up(rep, site.adapter->up, config.width, config.rep->rank, visitor);
  }
  if (!site.stand_in) return;
  const WeightName name_of_pia = name.with(Adapter::pia);
  nn::Pia& pia = *site.stand_in->pia;
  visit(name_of_pia.with(Role::shared), pia.shared, config.pia->rank, config.width, visitor);
  visit(name_of_pia.with(Role::own), pia.own, config.pia->rank, config.width, visitor);
  visit_up(name_of_pia, pia.up, config.width, config.pia->rank, visitor);
}

}  // namespace

routing::Block shaped_bert_layer(const BertLayerConfig& config) {
  routing::Block block;
  block.sites.push_back(shaped_site(Site::Kind::self, config));
  if (config.cross_attention) block.sites.push_back(shaped_site(Site::Kind::cross, config));
  block.sites.push_back(shaped_site(Site::Kind::feed_forward, config));
  return block;
}

void visit_bert_layer(const WeightName& layer, routing::Block& block, const BertLayerConfig& config,
                      const WeightVisitor& visitor) {
  const int64_t width = config.width;
  for (Site& site : block.sites) {
    const WeightName name = layer.with(at_of(site.kind));
    if (auto* attention = std::get_if<nn::Attention>(&site.branch)) {
      visit(name.with(Role::query), attention->query, width, width, visitor);
      visit(name.with(Role::key), attention->key, width, width, visitor);
      visit(name.with(Role::value), attention->value, width, width, visitor);
      visit(name.with(Role::output), attention->output, width, width, visitor);
      visit(name.with(Role::norm1), site.norm, width, visitor);
    } else if (auto* mlp = std::get_if<nn::Mlp>(&site.branch)) {
      visit(layer.with(Role::up), mlp->up, config.mlp, width, visitor);
      visit(layer.with(Role::down), mlp->down, width, config.mlp, visitor);
      visit(layer.with(Role::norm2), site.norm, width, visitor);
    }
    visit_adapters(name, site, config, visitor);
  }
}

}  // namespace lithe::models
