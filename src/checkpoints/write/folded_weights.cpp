#include "checkpoints/write/folded_weights.h"

#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/error.h"

namespace lithe::models {
namespace {

void require_frozen(bool frozen, int64_t layer) {
  require(frozen, Fault::bad_request, "the plan runs no token of the prompt in decoder layer ", layer,
          ", so its adapter has no gate and no mean to freeze; use another plan, or fold without --freeze");
}

/// What takes the place of a product's weight.
MadeWeight made_for(const nn::Linear& linear, std::function<Tensor()> make) {
  return {linear.weight.type(), {linear.out(), linear.in()}, std::move(make)};
}

}  // namespace

MadeWeight folded_weight(const nn::Linear& linear, const nn::AdapterMap& map) {
  return made_for(linear, [&linear, map] { return nn::folded(linear, map).weight.widened(at::kDouble); });
}

MadeWeight folded_bias(const nn::Linear& linear, const nn::AdapterMap& map) {
  return {at::kFloat, {linear.out()}, [&linear, offset = map.offset] { return nn::folded_bias(linear, offset); }};
}

FoldedWeights::FoldedWeights(const Model& model, const FrozenPrompt* frozen)
    : model_(model), frozen_(model.decoder.config.eas.empty() ? nullptr : frozen) {
  for (const auto& [layer, eas] : model.decoder.config.eas) fold_layer(layer, eas);
  if (model.vision) {
    for (const auto& [layer, eas] : model.vision->tower.config.eas) fold_tower_layer(layer, eas);
  }
  fold_low_rank();
  if (frozen_) add_biases();
}

void FoldedWeights::fold_layer(int64_t layer, const EasLayer& eas) {
  const routing::Block& block = model_.decoder.blocks[static_cast<size_t>(layer)];
  if (eas.holds_both() && !frozen_) {
    count_.left += eas.adapter ? 2 : 1;
    return;
  }
  const bool stays = attends(layer, eas);
  if (eas.pia && stays) {
    dropped_.insert(WeightName{.part = Part::decoder, .layer = layer}.with(Adapter::pia));
    ++count_.adapters;
  } else if (eas.pia) {
    fold_pia(layer, eas, *block.find(routing::Site::Kind::feed_forward));
  }
  if (eas.attention && !stays)
    drop_attention(layer, eas);
  else if (eas.adapter && frozen_)
    fold_attention(layer, *block.find(routing::Site::Kind::self));
  else if (eas.adapter)
    ++count_.left;
}

/// Whether the folded layer has an attention. Without a PIA nothing could take its place.
bool FoldedWeights::attends(int64_t layer, const EasLayer& eas) const {
  if (!eas.holds_both()) return eas.attention;
  const plan::LayerPlan* entry = frozen_->plan.find("decoder", layer);
  return !entry || entry->self_attention;
}

void FoldedWeights::fold_pia(int64_t layer, const EasLayer& eas, const routing::Site& feeds) {
  const WeightName name{.part = Part::decoder, .layer = layer};
  const auto& mlp = std::get<nn::Mlp>(feeds.branch);
  const nn::Pia& pia = feeds.stand_in ? *feeds.stand_in->pia : *feeds.pia;
  if (eas.gain) {
    dropped_.insert(name.with(Role::norm2));
    ++count_.gains;
  }
  if (!frozen_) {
    if (eas.gain) fold_gain(name.with(Role::gate), *mlp.gate, pia);
    if (eas.gain) fold_gain(name.with(Role::up), mlp.up, pia);
    ++count_.left;
    return;
  }
  require(
      pia.freezes_mean, Fault::bad_request, model_.name,
      ": its config.json says \"pia_mean\": \"published\", so the mean of a PIA changes with every token and cannot "
      "be frozen; write \"prompt\" there, or fold without --freeze");
  const nn::LayerState& state = frozen_->states[static_cast<size_t>(layer)];
  require_frozen(state.pia_gate && state.pia_mean, layer);
  const nn::AdapterMap map = nn::map_of(pia, *state.pia_gate, *state.pia_mean);
  replace(name.with(Role::gate), *mlp.gate, map);
  replace(name.with(Role::up), mlp.up, map);
  dropped_.insert(name.with(Adapter::pia));
  ++count_.adapters;
}

void FoldedWeights::drop_attention(int64_t layer, const EasLayer& eas) {
  const WeightName name{.part = Part::decoder, .layer = layer};
  for (const Role role : {Role::query, Role::key, Role::value, Role::output}) {
    for (const Kind kind : {Kind::weight, Kind::bias}) dropped_.insert(name.with(role).with(kind));
  }
  lost_.push_back(layer);
  if (!eas.adapter) return;
  dropped_.insert(name.with(Adapter::rep));
  ++count_.adapters;
}

void FoldedWeights::fold_attention(int64_t layer, const routing::Site& site) {
  const WeightName name{.part = Part::decoder, .layer = layer};
  const nn::LayerState& state = frozen_->states[static_cast<size_t>(layer)];
  require_frozen(state.attention_gate.has_value(), layer);
  const nn::AdapterMap map = nn::map_of(*site.adapter, *state.attention_gate);
  const auto& attention = std::get<nn::Attention>(site.branch);
  replace(name.with(Role::query), attention.query, map);
  replace(name.with(Role::key), attention.key, map);
  replace(name.with(Role::value), attention.value, map);
  dropped_.insert(name.with(Adapter::rep));
  ++count_.adapters;
}

/// Every tile has a gate and a mean of its own, so a tower's adapters stay.
void FoldedWeights::fold_tower_layer(int64_t layer, const EasLayer& eas) {
  const WeightName name{.part = Part::tower, .layer = layer};
  if (eas.pia && eas.gain) {
    const routing::Site& feeds =
        *model_.vision->tower.blocks[static_cast<size_t>(layer)].find(routing::Site::Kind::feed_forward);
    fold_gain(name.with(Role::up), std::get<nn::Mlp>(feeds.branch).up, *feeds.pia);
    for (const Kind kind : {Kind::weight, Kind::bias}) dropped_.insert(name.with(Role::norm2).with(kind));
    ++count_.gains;
  }
  if (eas.pia || eas.adapter) ++count_.left;
}

void FoldedWeights::fold_gain(const WeightName& product, const nn::Linear& linear, const nn::Pia& pia) {
  made_[product] =
      made_for(linear, [&linear, gain = *pia.gain] { return nn::folded(linear, gain).weight.widened(at::kDouble); });
  if (!pia.shift) return;
  made_[product.with(Kind::bias)] = {
      at::kFloat, {linear.out()}, [&linear, shift = *pia.shift] { return nn::folded_bias(linear, shift); }};
}

/// LoRA of the products that nothing else goes into.
void FoldedWeights::fold_low_rank() {
  visit(model_, [this](const HeldWeight& held) {
    const nn::Linear* linear = held.linear;
    if (!linear || !linear->low_rank) return;
    ++count_.low_rank;
    if (made_.contains(held.name) || drops(held.name)) return;
    made_[held.name] = made_for(*linear, [linear] { return nn::whole_weight(*linear); });
  });
}

void FoldedWeights::replace(const WeightName& product, const nn::Linear& linear, const nn::AdapterMap& map) {
  made_[product] = folded_weight(linear, map);
  made_[product.with(Kind::bias)] = folded_bias(linear, map);
}

/// Configs know biases for all products of a kind or for none: the others get zeros.
void FoldedWeights::add_biases() {
  visit(model_, [this](const HeldWeight& held) {
    const WeightName& name = held.name;
    const bool in_block = name.part == Part::decoder && name.in_layer() && name.adapter == Adapter::none;
    if (held.linear && in_block) add_bias(name, *held.linear);
  });
}

void FoldedWeights::add_bias(const WeightName& product, const nn::Linear& linear) {
  const WeightName name = product.with(Kind::bias);
  if (linear.bias || made_.contains(name) || drops(name)) return;
  made_[name] = {at::kFloat, {linear.out()}, [rows = linear.out()] { return at::zeros({rows}, at::kDouble); }};
}

}  // namespace lithe::models
