#include "models/parts/decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>

#include "base/error.h"
#include "models/parts/weight_slots.h"

namespace lithe::models {
namespace {

EasLayer eas_of(const DecoderConfig& config, int64_t layer) {
  const auto found = config.eas.find(layer);
  return found == config.eas.end() ? EasLayer{} : found->second;
}

nn::Norm shaped_norm(const DecoderConfig& config) {
  return {nn::Norm::Kind::rms, Tensor(), std::nullopt, config.norm_eps};
}

nn::GatedUp shaped_up(const AdapterShape& shape) {
  return {Tensor(), Tensor(), Tensor(), Tensor(), shape.groups, shape.scale};
}

nn::AdapterGate shaped_gate(const AdapterShape& shape) {
  return {shaped_linear(shape.router_bias), shape.temperature};
}

nn::Pia shaped_pia(const EasLayer& eas) {
  nn::Pia pia{shaped_linear(true), shaped_linear(true), shaped_up(*eas.pia), shaped_gate(*eas.pia), std::nullopt};
  if (eas.gain) pia.gain = Tensor();
  return pia;
}

routing::Block shaped_block(const DecoderConfig& config, const EasLayer& eas) {
  using routing::Site;
  routing::Block block;
  if (eas.attention) {
    const auto product = [&] { return shaped_linear(config.attention_bias); };
    nn::Attention attention{product(), product(), product(), product(), config.heads, config.kv_heads, config.head_dim};
    attention.window = config.window;
    Site& site = block.sites.emplace_back(
        Site{Site::Kind::self, Site::Join::pre_norm, shaped_norm(config), std::move(attention)});
    if (eas.adapter) site.adapter = {shaped_linear(true), shaped_up(*eas.adapter), shaped_gate(*eas.adapter)};
  }
  const auto feed = [&] { return shaped_linear(config.mlp_bias); };
  nn::Mlp mlp{feed(), feed(), feed(), config.activation};
  Site& site = block.sites.emplace_back(
      Site{Site::Kind::feed_forward, Site::Join::pre_norm, shaped_norm(config), std::move(mlp)});
  if (eas.pia) site.pia = shaped_pia(eas);
  return block;
}

/// B, b, D, d.
void visit_up(const std::string& name, nn::GatedUp& up, int64_t hidden, int64_t rank, const WeightVisitor& visitor) {
  const int64_t columns = rank / up.groups;
  visitor({name + "conv_B.weight", up.b_weight, {hidden, columns}});
  visitor({name + "conv_B.bias", *up.b_bias, {hidden}});
  visitor({name + "conv_D.weight", *up.d_weight, {hidden, columns}});
  visitor({name + "conv_D.bias", *up.d_bias, {hidden}});
}

void visit_gate(const std::string& name, nn::AdapterGate& gate, int64_t hidden, const WeightVisitor& visitor) {
  visitor({name + "expert_weights.weight", gate.router.weight, {2, hidden}});
  if (gate.router.bias) visitor({name + "expert_weights.bias", *gate.router.bias, {2}});
}

void visit_adapter(const std::string& name, nn::RepAdapter& adapter, int64_t rank, int64_t hidden,
                   const WeightVisitor& visitor) {
  visit(name + "conv_A", adapter.down, rank, hidden, visitor);
  visit_up(name, adapter.up, hidden, rank, visitor);
  visit_gate(name, *adapter.gate, hidden, visitor);
}

void visit_pia(const std::string& name, nn::Pia& pia, int64_t rank, int64_t hidden, const WeightVisitor& visitor) {
  visit(name + "conv_A", pia.shared, rank, hidden, visitor);
  visit(name + "conv_C", pia.own, rank, hidden, visitor);
  visit_up(name, pia.up, hidden, rank, visitor);
  visit_gate(name, *pia.gate, hidden, visitor);
}

void visit_block(const std::string& name, routing::Block& block, const DecoderConfig& config, const EasLayer& eas,
                 const WeightVisitor& visitor) {
  const int64_t hidden = config.hidden, wide = config.heads * config.head_dim,
                narrow = config.kv_heads * config.head_dim;
  for (routing::Site& site : block.sites) {
    if (auto* attention = std::get_if<nn::Attention>(&site.branch)) {
      visit(name + "input_layernorm", site.norm, hidden, visitor);
      visit(name + "self_attn.q_proj", attention->query, wide, hidden, visitor);
      visit(name + "self_attn.k_proj", attention->key, narrow, hidden, visitor);
      visit(name + "self_attn.v_proj", attention->value, narrow, hidden, visitor);
      visit(name + "self_attn.o_proj", attention->output, hidden, wide, visitor);
      if (site.adapter) visit_adapter(name + "adapter_attn.", *site.adapter, eas.adapter->rank, hidden, visitor);
    } else if (auto* mlp = std::get_if<nn::Mlp>(&site.branch)) {
      visit(name + (eas.attention ? "post_attention_layernorm" : "input_layernorm"), site.norm, hidden, visitor);
      visit(name + "mlp.gate_proj", *mlp->gate, config.intermediate, hidden, visitor);
      visit(name + "mlp.up_proj", mlp->up, config.intermediate, hidden, visitor);
      visit(name + "mlp.down_proj", mlp->down, hidden, config.intermediate, visitor);
      if (site.pia) visit_pia(name + "replaced_adapter.", *site.pia, eas.pia->rank, hidden, visitor);
      if (site.pia && site.pia->gain) visitor({name + "post_attention_layernorm.weight", *site.pia->gain, {hidden}});
    }
  }
  if (!block.router) return;
  visitor({name + "router.weight", block.router->weight, {1, hidden}});
  if (block.router->bias) visitor({name + "router.bias", *block.router->bias, {1}});
}

}  // namespace

Tensor Decoder::embed(const Tensor& ids) const {
  return embeddings.index_select(0, ids).to(at::kFloat);
}

Tensor Decoder::forward(routing::Batch batch, Tensor x, const routing::Observer& observer,
                        routing::Batch* alive) const {
  batch.angles = ops::rope_angles(config.rope, batch.positions).to(x);
  routing::Executor executor(std::move(batch), "decoder", static_cast<int64_t>(blocks.size()));
  if (observer) executor.observe(observer);
  for (size_t layer = 0; layer < blocks.size(); ++layer)
    x = executor.run(blocks[layer], static_cast<int64_t>(layer), std::move(x));
  if (alive) *alive = executor.batch();
  return x;
}

Tensor Decoder::logits(const Tensor& x) const {
  return head(norm(x)).to(at::kFloat);
}

Decoder shaped_decoder(const DecoderConfig& config) {
  Decoder decoder{.config = config, .norm = shaped_norm(config)};
  for (int64_t layer = 0; layer < config.layers; ++layer)
    decoder.blocks.push_back(shaped_block(config, eas_of(config, layer)));
  for (const int64_t layer : config.routers) {
    decoder.blocks[static_cast<size_t>(layer)].router =
        nn::Router{Tensor(), config.router_bias ? std::optional<Tensor>(Tensor()) : std::nullopt};
  }
  return decoder;
}

void visit(Decoder& decoder, const WeightVisitor& visitor) {
  const DecoderConfig& config = decoder.config;
  visitor({"embed_tokens.weight", decoder.embeddings, {config.vocab, config.hidden}, true});
  for (size_t layer = 0; layer < decoder.blocks.size(); ++layer) {
    visit_block("layers." + std::to_string(layer) + ".", decoder.blocks[layer], config,
                eas_of(config, static_cast<int64_t>(layer)), visitor);
  }
  visit("norm", decoder.norm, config.hidden, visitor);
  if (!config.tied_embeddings) visit("lm_head", decoder.head, config.vocab, config.hidden, visitor);
}

void tie(Decoder& decoder) {
  if (decoder.config.tied_embeddings) decoder.head.weight = decoder.embeddings;
}

}  // namespace lithe::models
