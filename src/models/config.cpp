#include "models/config.h"

#include <cmath>
#include <utility>

#include "base/error.h"
#include "io/hub_cache.h"
#include "plan/facts.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxHeads = 1024, kMaxHeadDim = 4096, kMaxPositions = int64_t{1} << 24, kMaxVocab = int64_t{1} << 24;

double positive(const JsonView& config, const char* key, double fallback) {
  return number_in(config, key, fallback, 1e-12, 1e12);
}

/// Whether a key is there with the value null, which turns a default off.
bool is_null(const JsonView& config, const char* key) {
  return config.json().contains(key) && !config.has(key);
}

/// YaRN's attention factor from DeepSeek's two keys; 0 where the factor follows from the scaling alone.
double attention_factor(const JsonView& scaling, double factor) {
  if (scaling.has("attention_factor")) return positive(scaling, "attention_factor", 1);
  if (!scaling.has("mscale") || !scaling.has("mscale_all_dim") || factor <= 1) return 0;
  const auto scale = [&](const char* key) { return 0.1 * number_in(scaling, key, 1, 0, 1e3) * std::log(factor) + 1; };
  return scale("mscale") / scale("mscale_all_dim");
}

void read_scaling(const JsonView& scaling, int64_t max_positions, ops::RopeConfig& rope) {
  using Scaling = ops::RopeConfig::Scaling;
  const std::string type = scaling.text(scaling.has("rope_type") ? "rope_type" : "type", "default");
  if (type == "default") return;
  rope.factor = number_in(scaling, "factor", 1, 1, 1e6);
  rope.original_positions = size_in(scaling, "original_max_position_embeddings", max_positions, kMaxPositions);
  if (type == "linear") {
    rope.scaling = Scaling::linear;
  } else if (type == "dynamic") {
    rope.scaling = Scaling::dynamic;
    rope.original_positions = max_positions;  // transformers reads the config's own length here
  } else if (type == "llama3") {
    rope.scaling = Scaling::llama3;
    rope.low_freq_factor = positive(scaling, "low_freq_factor", 1);
    rope.high_freq_factor = positive(scaling, "high_freq_factor", 4);
    require(rope.high_freq_factor > rope.low_freq_factor, Fault::bad_file, scaling.source(),
            ": high_freq_factor must be above low_freq_factor");
  } else if (type == "yarn") {
    require(scaling.boolean("truncate", true), Fault::bad_file, scaling.source(),
            ": yarn with \"truncate\": false is not supported");
    rope.scaling = Scaling::yarn;
    rope.beta_fast = positive(scaling, "beta_fast", 32);
    rope.beta_slow = positive(scaling, "beta_slow", 1);
    rope.attention_factor = attention_factor(scaling, rope.factor);
  } else {
    fail(Fault::bad_file, scaling.source(), ": the rope scaling '", type,
         "' is not known; known are default, linear, dynamic, llama3, yarn");
  }
}

std::optional<int64_t> read_window(const JsonView& config, bool mistral) {
  constexpr int64_t kMistralWindow = 4096;
  if (!mistral || is_null(config, "sliding_window")) return std::nullopt;
  return size_in(config, "sliding_window", kMistralWindow, kMaxPositions);
}

}  // namespace

fs::path named_folder(const fs::path& folder, const fs::path& named) {
  const fs::path above = fs::absolute(folder).lexically_normal().parent_path(), last = last_part(named);
  for (const fs::path& path : {folder / named, above / named, folder / last, above / last}) {
    std::error_code code;
    if (fs::exists(path / "config.json", code)) return path;
  }
  const std::optional<io::HubName> hub = io::parse_hub_name(named.string());
  try {
    return hub ? io::cached_snapshot(*hub).value_or(fs::path()) : fs::path();
  } catch (const Error&) {
    return {};  // A part of it was downloaded, which says nothing about this model.
  }
}

fs::path last_part(const fs::path& named) {
  return named.has_filename() ? named.filename() : named.parent_path().filename();
}

double number_in(const JsonView& config, const char* key, double fallback, double low, double high) {
  const double value = config.number(key, fallback);
  require(value >= low && value <= high, Fault::bad_file, config.source(), ": '", key, "' is ", value,
          ", it must lie between ", low, " and ", high);
  return value;
}

int64_t size_in(const JsonView& config, const char* key, int64_t fallback, int64_t most) {
  const int64_t value = config.integer(key, fallback);
  require(value >= 1 && value <= most, Fault::bad_file, config.source(), ": '", key, "' is ", value,
          ", it must lie between 1 and ", most);
  return value;
}

ops::RopeConfig read_rope(const JsonView& config, int64_t head_dim, int64_t max_positions) {
  const char* nested = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  ops::RopeConfig rope{.head_dim = head_dim};
  rope.theta = number_in(config, "rope_theta", rope.theta, 1 + 1e-6, 1e12);
  require(number_in(config, "partial_rotary_factor", 1, 0, 1) == 1, Fault::bad_file, config.source(),
          ": partial rotary embeddings are not supported");
  if (!config.has(nested)) return rope;
  const JsonView scaling = config.object(nested);
  rope.theta = number_in(scaling, "rope_theta", rope.theta, 1 + 1e-6, 1e12);
  read_scaling(scaling, max_positions, rope);
  return rope;
}

DecoderConfig read_decoder_config(const JsonView& config, bool mistral) {
  DecoderConfig decoder;
  decoder.layers = size_in(config, "num_hidden_layers", 32, plan::kMaxLayers);
  decoder.hidden = size_in(config, "hidden_size", 4096, plan::kMaxWidth);
  decoder.intermediate = size_in(config, "intermediate_size", mistral ? 14336 : 11008, plan::kMaxWidth);
  decoder.heads = size_in(config, "num_attention_heads", 32, kMaxHeads);
  decoder.kv_heads = size_in(config, "num_key_value_heads", mistral ? 8 : decoder.heads, kMaxHeads);
  require(decoder.heads % decoder.kv_heads == 0, Fault::bad_file, config.source(), ": ", decoder.kv_heads,
          " key/value heads do not divide ", decoder.heads, " heads");
  require(config.has("head_dim") || decoder.hidden % decoder.heads == 0, Fault::bad_file, config.source(), ": ",
          decoder.heads, " heads do not divide hidden_size ", decoder.hidden);
  decoder.head_dim = size_in(config, "head_dim", std::max<int64_t>(1, decoder.hidden / decoder.heads), kMaxHeadDim);
  require(decoder.head_dim % 2 == 0, Fault::bad_file, config.source(), ": the head dimension is ", decoder.head_dim,
          ", rotary embeddings need an even one");
  decoder.vocab = size_in(config, "vocab_size", 32000, kMaxVocab);
  decoder.max_positions = size_in(config, "max_position_embeddings", mistral ? 131072 : 2048, kMaxPositions);
  decoder.norm_eps = number_in(config, "rms_norm_eps", 1e-6, 0, 1);
  decoder.activation = ops::activation_from_name(config.text("hidden_act", "silu"), config.source());
  decoder.rope = read_rope(config, decoder.head_dim, decoder.max_positions);
  decoder.window = read_window(config, mistral);
  decoder.attention_bias = config.boolean("attention_bias", false);
  decoder.mlp_bias = config.boolean("mlp_bias", false);
  return decoder;
}

VisionTowerConfig read_tower_config(const JsonView& config, int64_t feature_layer) {
  if (config.has("vision_config")) return read_tower_config(config.object("vision_config"), feature_layer);
  const std::string type = config.text("model_type", "clip_vision_model");
  require(type == "clip_vision_model" || type == "clip", Fault::bad_file, config.source(), ": the vision tower '", type,
          "' is not supported; supported is clip_vision_model");
  VisionTowerConfig tower;
  tower.layers = size_in(config, "num_hidden_layers", 12, plan::kMaxLayers);
  tower.width = size_in(config, "hidden_size", 768, plan::kMaxWidth);
  tower.mlp = size_in(config, "intermediate_size", 3072, plan::kMaxWidth);
  tower.heads = size_in(config, "num_attention_heads", 12, kMaxHeads);
  tower.image_px = size_in(config, "image_size", 224, 1 << 14);
  tower.patch_px = size_in(config, "patch_size", 32, 1 << 14);
  tower.channels = size_in(config, "num_channels", 3, 16);
  tower.norm_eps = number_in(config, "layer_norm_eps", 1e-5, 0, 1);
  tower.activation = ops::activation_from_name(config.text("hidden_act", "quick_gelu"), config.source());
  require(tower.width % tower.heads == 0, Fault::bad_file, config.source(), ": ", tower.heads,
          " heads do not divide hidden_size ", tower.width);
  require(tower.patch_px <= tower.image_px, Fault::bad_file, config.source(), ": patches of ", tower.patch_px,
          " pixels do not fit into images of ", tower.image_px);
  require(tower.channels == 3, Fault::bad_file, config.source(), ": 'num_channels' is ", tower.channels,
          ", pictures have 3");
  tower.layers_run = feature_layer < 0 ? tower.layers + 1 + feature_layer : feature_layer;
  require(tower.layers_run >= 0 && tower.layers_run <= tower.layers, Fault::bad_file, config.source(),
          ": the feature layer ", feature_layer, " is outside of the tower's ", tower.layers, " layers");
  return tower;
}

}  // namespace lithe::models
