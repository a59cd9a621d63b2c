#include "models/folded_weights.h"

#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/error.h"

namespace lithe::models {
namespace {

void require_frozen(bool frozen, int64_t layer) {
  require(frozen, Fault::bad_request, "the plan runs no token of the prompt in decoder layer ", layer,
          ", so its adapter has no gate and no mean to freeze; use another plan, or fold without --freeze");
}

}  // namespace

FoldedWeights::FoldedWeights(const Model& model, const std::vector<nn::LayerState>* frozen)
    : model_(model), frozen_(model.decoder.config.eas.empty() ? nullptr : frozen) {
  for (const auto& [layer, eas] : model.decoder.config.eas) fold_layer(layer, eas);
  if (model.vision) {
    for (const auto& [layer, eas] : model.vision->tower.config.eas) fold_tower_layer(layer, eas);
  }
  fold_low_rank();
  if (frozen_) add_biases();
}

void FoldedWeights::fold_layer(int64_t layer, const EasLayer& eas) {
  const std::string prefix = concat("layers.", layer, ".");
  const routing::Block& block = model_.decoder.blocks[static_cast<size_t>(layer)];
  const routing::Site& feeds = *block.find(routing::Site::Kind::feed_forward);
  const auto& mlp = std::get<nn::Mlp>(feeds.branch);
  if (eas.pia && eas.gain) {
    dropped_.insert(prefix + "post_attention_layernorm.weight");
    ++count_.gains;
  }
  if (eas.pia && frozen_) {
    const nn::LayerState& state = (*frozen_)[static_cast<size_t>(layer)];
    require_frozen(state.pia_gate && state.pia_mean, layer);
    const nn::AdapterMap map = nn::map_of(*feeds.pia, *state.pia_gate, *state.pia_mean);
    replace(prefix + "mlp.gate_proj", *mlp.gate, map);
    replace(prefix + "mlp.up_proj", mlp.up, map);
    dropped_.insert(prefix + "replaced_adapter.");
    ++count_.adapters;
  } else if (eas.pia) {
    if (eas.gain) fold_gain(prefix + "mlp.gate_proj", *mlp.gate, *feeds.pia);
    if (eas.gain) fold_gain(prefix + "mlp.up_proj", mlp.up, *feeds.pia);
    ++count_.left;
  }
  if (eas.adapter && frozen_)
    fold_attention(layer, *block.find(routing::Site::Kind::self));
  else if (eas.adapter)
    ++count_.left;
}

void FoldedWeights::fold_attention(int64_t layer, const routing::Site& site) {
  const std::string prefix = concat("layers.", layer, ".");
  const nn::LayerState& state = (*frozen_)[static_cast<size_t>(layer)];
  require_frozen(state.attention_gate.has_value(), layer);
  const nn::AdapterMap map = nn::map_of(*site.adapter, *state.attention_gate);
  const auto& attention = std::get<nn::Attention>(site.branch);
  replace(prefix + "self_attn.q_proj", attention.query, map);
  replace(prefix + "self_attn.k_proj", attention.key, map);
  replace(prefix + "self_attn.v_proj", attention.value, map);
  dropped_.insert(prefix + "adapter_attn.");
  ++count_.adapters;
}

/// Every tile has a gate and a mean of its own, so a tower's adapters stay.
void FoldedWeights::fold_tower_layer(int64_t layer, const EasLayer& eas) {
  const std::string prefix = concat("encoder.layers.", layer, ".");
  if (eas.pia && eas.gain) {
    const routing::Site& feeds =
        *model_.vision->tower.blocks[static_cast<size_t>(layer)].find(routing::Site::Kind::feed_forward);
    fold_gain(prefix + "mlp.fc1", std::get<nn::Mlp>(feeds.branch).up, *feeds.pia);
    dropped_.insert(prefix + "layer_norm2.");
    ++count_.gains;
  }
  if (eas.pia || eas.adapter) ++count_.left;
}

void FoldedWeights::fold_gain(const std::string& product, const nn::Linear& linear, const nn::Pia& pia) {
  made_[product + ".weight"] = {linear.weight.scalar_type(), linear.weight.sizes().vec(),
                                [&linear, gain = *pia.gain] { return nn::folded(linear, gain).weight; }};
  if (!pia.shift) return;
  made_[product + ".bias"] = {
      at::kFloat, {linear.out()}, [&linear, shift = *pia.shift] { return nn::folded_bias(linear, shift); }};
}

/// LoRA of the products that nothing else goes into.
void FoldedWeights::fold_low_rank() {
  visit(model_, [this](const WeightView& weight) {
    const nn::Linear* linear = weight.linear;
    if (!linear || !linear->low_rank) return;
    ++count_.low_rank;
    if (made_.contains(weight.name)) return;
    made_[weight.name] = {weight.tensor.scalar_type(), weight.tensor.sizes().vec(),
                          [linear] { return nn::whole_weight(*linear); }};
  });
}

void FoldedWeights::replace(const std::string& product, const nn::Linear& linear, const nn::AdapterMap& map) {
  made_[product + ".weight"] = {linear.weight.scalar_type(), linear.weight.sizes().vec(),
                                [&linear, map] { return nn::folded(linear, map).weight; }};
  made_[product + ".bias"] = {
      at::kFloat, {linear.out()}, [&linear, offset = map.offset] { return nn::folded_bias(linear, offset); }};
}

/// Configs know biases for all products of a kind or for none: the others get zeros.
void FoldedWeights::add_biases() {
  for (size_t layer = 0; layer < model_.decoder.blocks.size(); ++layer) {
    const std::string prefix = concat("layers.", layer, ".");
    for (const routing::Site& site : model_.decoder.blocks[layer].sites) {
      if (const auto* attention = std::get_if<nn::Attention>(&site.branch)) {
        add_bias(prefix + "self_attn.q_proj", attention->query);
        add_bias(prefix + "self_attn.k_proj", attention->key);
        add_bias(prefix + "self_attn.v_proj", attention->value);
        add_bias(prefix + "self_attn.o_proj", attention->output);
      } else if (const auto* mlp = std::get_if<nn::Mlp>(&site.branch)) {
        add_bias(prefix + "mlp.gate_proj", *mlp->gate);
        add_bias(prefix + "mlp.up_proj", mlp->up);
        add_bias(prefix + "mlp.down_proj", mlp->down);
      }
    }
  }
}

void FoldedWeights::add_bias(const std::string& product, const nn::Linear& linear) {
  const std::string name = product + ".bias";
  if (linear.bias || made_.contains(name)) return;
  made_[name] = {at::kFloat, {linear.out()}, [rows = linear.out()] { return at::zeros({rows}, at::kDouble); }};
}

}  // namespace lithe::models
