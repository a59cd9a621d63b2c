#include "models/parts/decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <variant>
#include <vector>

#include "base/error.h"
#include "models/parts/weight_slots.h"

namespace lithe::models {
namespace {

nn::Norm shaped_norm(const DecoderConfig& config) {
  return {nn::Norm::Kind::rms, Tensor(), std::nullopt, config.norm_eps};
}

const nn::Attention* first_attention(const std::vector<routing::Block>& blocks) {
  for (const routing::Block& block : blocks)
    for (const routing::Site& site : block.sites)
      if (const auto* attention = std::get_if<nn::Attention>(&site.branch)) return attention;
  return nullptr;
}

routing::Block shaped_block(const DecoderConfig& config, int64_t layer) {
  const EasLayer eas = eas_of(config.eas, layer);
  using routing::Site;
  routing::Block block;
  if (eas.attention) {
    const auto product = [&] { return shaped_linear(config.attention_bias); };
    nn::Attention attention{product(),    product(),       product(),      shaped_linear(config.output_bias),
                            config.heads, config.kv_heads, config.head_dim};
    if (layer >= config.window_from) attention.window = config.window;
    Site& site = block.sites.emplace_back(
        Site{Site::Kind::self, Site::Join::pre_norm, shaped_norm(config), std::move(attention)});
    if (eas.adapter) site.adapter = shaped_adapter(*eas.adapter);
  }
  const auto feed = [&] { return shaped_linear(config.mlp_bias); };
  nn::Mlp mlp{feed(), feed(), feed(), config.activation};
  Site& site = block.sites.emplace_back(
      Site{Site::Kind::feed_forward, Site::Join::pre_norm, shaped_norm(config), std::move(mlp)});
  if (eas.holds_both()) {
    site.stand_in = routing::StandIn{shaped_norm(config), shaped_pia(*eas.pia)};
  } else if (eas.pia) {
    site.pia = shaped_pia(*eas.pia);
    if (eas.gain) site.pia->gain = Tensor();
  }
  return block;
}

void visit_block(const WeightName& name, routing::Block& block, const DecoderConfig& config, const EasLayer& eas,
                 const WeightVisitor& visitor) {
  const int64_t hidden = config.hidden, wide = config.heads * config.head_dim,
                narrow = config.kv_heads * config.head_dim;
  for (routing::Site& site : block.sites) {
    if (auto* attention = std::get_if<nn::Attention>(&site.branch)) {
      visit(name.with(Role::norm1), site.norm, hidden, visitor);
      visit(name.with(Role::query), attention->query, wide, hidden, visitor);
      visit(name.with(Role::key), attention->key, narrow, hidden, visitor);
      visit(name.with(Role::value), attention->value, narrow, hidden, visitor);
      visit(name.with(Role::output), attention->output, hidden, wide, visitor);
      if (site.adapter) visit_adapter(name, *site.adapter, eas.adapter->rank, hidden, visitor);
    } else if (auto* mlp = std::get_if<nn::Mlp>(&site.branch)) {
      visit(name.with(eas.attention ? Role::norm2 : Role::norm1), site.norm, hidden, visitor);
      visit(name.with(Role::gate), *mlp->gate, config.intermediate, hidden, visitor);
      visit(name.with(Role::up), mlp->up, config.intermediate, hidden, visitor);
      visit(name.with(Role::down), mlp->down, hidden, config.intermediate, visitor);
      if (site.stand_in) visit_pia(name, *site.stand_in->pia, eas.pia->rank, hidden, visitor);
      if (site.pia) visit_pia(name, *site.pia, eas.pia->rank, hidden, visitor);
      if (site.pia && site.pia->gain) visitor({name.with(Role::norm2), &*site.pia->gain, {hidden}});
    }
  }
  if (!block.router) return;
  visitor({name.with(Role::router), &block.router->weight, {1, hidden}});
  if (block.router->bias) visitor({name.with(Role::router).with(Kind::bias), &*block.router->bias, {1}});
}

/// Lets a stand-in read norm1, and lets its PIA use the gain of norm2.
void tie_stand_in(routing::Block& block) {
  routing::Site& feeds = block.sites.back();
  if (!feeds.stand_in) return;
  feeds.stand_in->norm = block.sites.front().norm;
  feeds.stand_in->pia->gain = feeds.norm.gain;
}

/// Angles of a packed batch. `dynamic` scales by the length of each sequence, so its sequences come one by one.
ops::RopeAngles angles_of(const ops::RopeConfig& rope, const routing::Batch& batch) {
  if (rope.scaling != ops::RopeConfig::Scaling::dynamic)
    return ops::rope_angles(rope, batch.places_of(0, batch.rows()));
  std::vector<Tensor> cosines, sines;
  for (size_t i = 0; i + 1 < batch.offsets.size(); ++i) {
    const ops::RopeAngles angles = ops::rope_angles(rope, batch.places_of(batch.offsets[i], batch.offsets[i + 1]));
    cosines.push_back(angles.cosine);
    sines.push_back(angles.sine);
  }
  return {at::cat(cosines), at::cat(sines)};
}

}  // namespace

int64_t Decoder::cached_number_bytes() const {
  const nn::Attention* const attention = first_attention(blocks);
  const bool as_given = cache == ops::KeyValueKind::float32 && one_block_per_sequence() && attention;
  return as_given ? static_cast<int64_t>(c10::elementSize(attention->key.weight.type())) : ops::bytes_of(cache);
}

Tensor Decoder::embed(const Tensor& ids) const {
  return embeddings.rows(ids);
}

routing::Executor Decoder::executor(routing::Batch batch, const Tensor& x) const {
  batch.angles = angles_of(config.rope, batch).to(x);
  return routing::Executor(std::move(batch), "decoder", static_cast<int64_t>(blocks.size()));
}

Tensor Decoder::forward(routing::Batch batch, Tensor x, const routing::Observer& observer,
                        routing::Batch* alive) const {
  routing::Executor executor = this->executor(std::move(batch), x);
  if (observer) executor.observe(observer);
  executor.recompute(recomputes);
  for (size_t layer = 0; layer < blocks.size(); ++layer)
    x = executor.run(blocks[layer], static_cast<int64_t>(layer), std::move(x));
  if (alive) *alive = executor.batch();
  return x;
}

Tensor Decoder::logits(const Tensor& x, const nn::RowNotes& notes) const {
  return head(norm(x), notes).to(at::kFloat);
}

Decoder shaped_decoder(const DecoderConfig& config) {
  Decoder decoder{.config = config, .norm = shaped_norm(config)};
  if (config.modality) decoder.modality = nn::Weight();
  for (int64_t layer = 0; layer < config.layers; ++layer) decoder.blocks.push_back(shaped_block(config, layer));
  for (const int64_t layer : config.routers) {
    decoder.blocks[static_cast<size_t>(layer)].router =
        nn::Router{{}, config.router_bias ? std::optional<Tensor>(Tensor()) : std::nullopt};
  }
  return decoder;
}

void visit(Decoder& decoder, const WeightVisitor& visitor) {
  const DecoderConfig& config = decoder.config;
  const WeightName name{.part = Part::decoder};
  visitor({name.with(Role::embeddings), &decoder.embeddings, {config.vocab, config.hidden}, true});
  for (int64_t layer = 0; layer < static_cast<int64_t>(decoder.blocks.size()); ++layer) {
    visit_block({.part = Part::decoder, .layer = layer}, decoder.blocks[static_cast<size_t>(layer)], config,
                eas_of(config.eas, layer), visitor);
  }
  if (decoder.modality) visitor({name.with(Role::modality), &*decoder.modality, {2, config.hidden}});
  visit(name.with(Role::last_norm), decoder.norm, config.hidden, visitor);
  if (!config.tied_embeddings) visit(name.with(Role::head), decoder.head, config.vocab, config.hidden, visitor);
}

void tie(Decoder& decoder) {
  if (decoder.config.tied_embeddings) decoder.head.weight = decoder.embeddings;
  for (routing::Block& block : decoder.blocks) tie_stand_in(block);
}

}  // namespace lithe::models
