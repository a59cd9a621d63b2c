#pragma once

#include <algorithm>
#include <string>

#include "models/parts/decoder.h"
#include "models/parts/vision_tower.h"
#include "plan/facts.h"

// The keys of config.json that are plain values, named once for whoever reads and whoever writes them.
namespace lithe::models {

constexpr int64_t kMaxHeads = 1024, kMaxHeadDim = 4096, kMaxPositions = int64_t{1} << 24, kMaxVocab = int64_t{1} << 24;
constexpr int64_t kMaxImageSide = 1 << 14;  // Pixels.

/// Calls `key(name, member, most, fallback)` for each integer, `key(name, member)` for everything else, in an order in
/// which a fallback is known when its turn comes. Most fallbacks are the member's own value.
template <class Config, class Key>
void decoder_keys(Config& c, const Key& key) {
  key("num_hidden_layers", c.layers, plan::kMaxLayers, c.layers);
  key("hidden_size", c.hidden, plan::kMaxWidth, c.hidden);
  key("intermediate_size", c.intermediate, plan::kMaxWidth, c.intermediate);
  key("num_attention_heads", c.heads, kMaxHeads, c.heads);
  key("num_key_value_heads", c.kv_heads, kMaxHeads, c.kv_heads > 0 ? c.kv_heads : c.heads);
  key("head_dim", c.head_dim, kMaxHeadDim, std::max<int64_t>(1, c.hidden / std::max<int64_t>(1, c.heads)));
  key("vocab_size", c.vocab, kMaxVocab, c.vocab);
  key("max_position_embeddings", c.max_positions, kMaxPositions, c.max_positions);
  key("rms_norm_eps", c.norm_eps);
  key("hidden_act", c.activation);
  key("attention_bias", c.attention_bias);
  key("mlp_bias", c.mlp_bias);
}

/// The same of a vision tower.
template <class Config, class Key>
void tower_keys(Config& c, const Key& key) {
  key("num_hidden_layers", c.layers, plan::kMaxLayers, c.layers);
  key("hidden_size", c.width, plan::kMaxWidth, c.width);
  key("intermediate_size", c.mlp, plan::kMaxWidth, c.mlp);
  key("num_attention_heads", c.heads, kMaxHeads, c.heads);
  key("image_size", c.image);
  key("patch_size", c.patch_px, kMaxImageSide, c.patch_px);
  key("num_channels", c.channels, int64_t{16}, c.channels);
  key("layer_norm_eps", c.norm_eps);
  key("hidden_act", c.activation);
}

/// The name that configs give an activation.
std::string name_of(ops::Activation activation);

/// Writes every key into an object.
class KeyWriter {
 public:
  explicit KeyWriter(Json& json) : json_(json) {}

  template <class Value, class... Bounds>
  void operator()(const char* key, const Value& value, const Bounds&...) const {
    json_[key] = value;
  }
  void operator()(const char* key, ops::Activation value) const { json_[key] = name_of(value); }
  void operator()(const char* key, image::Size value) const {
    json_[key] = value.width == value.height ? Json(value.width) : Json{value.height, value.width};
  }

 private:
  Json& json_;
};

}  // namespace lithe::models
