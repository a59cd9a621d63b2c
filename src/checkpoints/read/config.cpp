#include "checkpoints/read/config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/config_keys.h"
#include "io/hub_cache.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

double positive(const JsonView& config, const char* key, double fallback) {
  return number_in(config, key, fallback, 1e-12, 1e12);
}

/// Whether a key is there with the value null, which turns a default off.
bool is_null(const JsonView& config, const char* key) {
  return config.json().contains(key) && !config.has(key);
}

/// YaRN's attention factor from DeepSeek's two keys; 0 if the factor follows from the scaling alone.
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

/// A kind of decoder: its model_type in transformers, and what its config class takes for keys that are left out.
struct DecoderKind {
  const char* model_type;
  DecoderConfig defaults;
};

const std::vector<DecoderKind>& decoder_kinds() {
  const DecoderConfig shared{.layers = 32, .hidden = 4096, .heads = 32, .norm_eps = 1e-6};
  static const std::vector<DecoderKind> kKinds = [&] {
    DecoderConfig llama = shared, mistral = shared, qwen2 = shared;
    llama.intermediate = 11008;
    llama.vocab = 32000;
    llama.max_positions = 2048;
    mistral.intermediate = 14336;
    mistral.kv_heads = 8;
    mistral.vocab = 32000;
    mistral.max_positions = 131072;
    mistral.window = 4096;
    qwen2.intermediate = 22016;
    qwen2.kv_heads = 32;
    qwen2.vocab = 151936;
    qwen2.max_positions = 32768;
    return std::vector<DecoderKind>{{"llama", llama}, {"mistral", mistral}, {"qwen2", qwen2}};
  }();
  return kKinds;
}

/// A kind of tower, by the model_type of its own config and of one that holds a text model too.
struct TowerKind {
  const char* model_type;
  const char* of_both;
  VisionTowerConfig defaults;
};

const std::vector<TowerKind>& tower_kinds() {
  const VisionTowerConfig shared{.layers = 12, .width = 768, .mlp = 3072, .heads = 12, .image = {224, 224}};
  static const std::vector<TowerKind> kKinds = [&] {
    VisionTowerConfig clip = shared, siglip = shared;
    clip.patch_px = 32;
    siglip.patch_px = 16;
    siglip.norm_eps = 1e-6;
    siglip.activation = ops::Activation::gelu_tanh;
    siglip.class_token = siglip.pre_norm = false;
    siglip.patch_bias = true;
    return std::vector<TowerKind>{{"clip_vision_model", "clip", clip}, {"siglip_vision_model", "siglip", siglip}};
  }();
  return kKinds;
}

template <class Kinds>
std::string types_of(const Kinds& kinds) {
  std::string text;
  for (size_t i = 0; i < kinds.size(); ++i)
    text += concat(i == 0 ? "" : i + 1 == kinds.size() ? " and " : ", ", kinds[i].model_type);
  return text;
}

/// Reads every key, with a member's own value for one that is left out.
class KeyReader {
 public:
  explicit KeyReader(const JsonView& config) : config_(config) {}

  void operator()(const char* key, int64_t& value, int64_t most, int64_t fallback) const {
    value = size_in(config_, key, fallback, most);
  }
  void operator()(const char* key, double& value) const { value = number_in(config_, key, value, 0, 1); }
  void operator()(const char* key, bool& value) const { value = config_.boolean(key, value); }
  void operator()(const char* key, ops::Activation& value) const {
    value = ops::activation_from_name(config_.text(key, name_of(value)), config_.source());
  }
  /// A side of a square, or [height, width].
  void operator()(const char* key, image::Size& value) const {
    if (!config_.has(key) || !config_.json()[key].is_array()) {
      value.width = value.height = size_in(config_, key, value.width, kMaxImageSide);
      return;
    }
    const Json& sides = config_.json()[key];
    const auto holds = [](const Json& side) {
      return side.is_number_integer() && side.get<int64_t>() >= 1 && side.get<int64_t>() <= kMaxImageSide;
    };
    require(sides.size() == 2 && std::all_of(sides.begin(), sides.end(), holds), Fault::bad_file, config_.source(),
            ": '", key, "' must be a side or [height, width], each from 1 to ", kMaxImageSide, " pixels");
    value = {sides[1].get<int64_t>(), sides[0].get<int64_t>()};
  }

 private:
  const JsonView& config_;
};

void check_heads(const JsonView& config, const DecoderConfig& decoder) {
  require(decoder.heads % decoder.kv_heads == 0, Fault::bad_file, config.source(), ": ", decoder.kv_heads,
          " key/value heads do not divide ", decoder.heads, " heads");
  require(config.has("head_dim") || decoder.hidden % decoder.heads == 0, Fault::bad_file, config.source(), ": ",
          decoder.heads, " heads do not divide hidden_size ", decoder.hidden);
  require(decoder.head_dim % 2 == 0, Fault::bad_file, config.source(), ": the head dimension is ", decoder.head_dim,
          ", rotary embeddings need an even one");
}

/// The first of Qwen2's layers that sees a window: by `layer_types`, which transformers obeys if it is there, else by
/// max_window_layers.
int64_t first_windowed_layer(const JsonView& config, int64_t layers) {
  constexpr int64_t kQwenFirst = 28;
  const int64_t first = config.integer("max_window_layers", kQwenFirst);
  require(first >= 0, Fault::bad_file, config.source(), ": 'max_window_layers' is ", first, ", it must be at least 0");
  if (!config.has("layer_types")) return first;
  const Json& types = config.json()["layer_types"];
  require(types.is_array() && static_cast<int64_t>(types.size()) == layers, Fault::bad_file, config.source(),
          ": 'layer_types' must name a type for each of the ", layers, " layers");
  const auto windowed = std::find(types.begin(), types.end(), "sliding_attention");
  const bool in_order =
      std::all_of(types.begin(), windowed, [](const Json& type) { return type == "full_attention"; }) &&
      std::all_of(windowed, types.end(), [](const Json& type) { return type == "sliding_attention"; });
  require(
      in_order, Fault::bad_file, config.source(),
      ": 'layer_types' must name layers of full_attention and after them those of sliding_attention; no other order "
      "is supported");
  return windowed - types.begin();
}

/// Which layers see no more than a window: all of Mistral's unless the key is null; some of Qwen2's if
/// use_sliding_window says so.
void read_window(const JsonView& config, const std::string& kind, DecoderConfig& decoder) {
  constexpr int64_t kQwenWindow = 4096;
  if (kind == "qwen2" && config.boolean("use_sliding_window", false)) {
    decoder.window_from = first_windowed_layer(config, decoder.layers);
    if (!is_null(config, "sliding_window") && decoder.window_from < decoder.layers)
      decoder.window = size_in(config, "sliding_window", kQwenWindow, kMaxPositions);
  } else if (decoder.window) {
    const int64_t fallback = *decoder.window;
    decoder.window.reset();
    if (!is_null(config, "sliding_window")) decoder.window = size_in(config, "sliding_window", fallback, kMaxPositions);
  }
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

double adapter_scale(const JsonView& eas, double fallback) {
  constexpr double kMost = 1000;
  const double scale = eas.number("scale", fallback);
  require(scale > 0 && scale <= kMost, Fault::bad_file, eas.source(), ": 'scale' is ", scale,
          ", which adapters are multiplied by; it must be more than 0 and at most ", kMost);
  return scale;
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

std::string name_of(ops::Activation activation) {
  switch (activation) {
    case ops::Activation::silu:
      return "silu";
    case ops::Activation::gelu:
      return "gelu";
    case ops::Activation::gelu_tanh:
      return "gelu_pytorch_tanh";
    case ops::Activation::quick_gelu:
      return "quick_gelu";
    case ops::Activation::relu:
      return "relu";
  }
  fail(Fault::internal, "an activation has no name");
}

DecoderConfig read_decoder_config(const JsonView& config, const std::string& kind) {
  const std::vector<DecoderKind>& kinds = decoder_kinds();
  const auto known =
      std::find_if(kinds.begin(), kinds.end(), [&](const DecoderKind& known) { return kind == known.model_type; });
  require(known != kinds.end(), Fault::bad_file, config.source(), ": the decoder ", in_quotes(kind),
          " is not supported; supported are ", types_of(kinds));
  DecoderConfig decoder = known->defaults;
  decoder_keys(decoder, KeyReader(config));
  check_heads(config, decoder);
  decoder.rope = read_rope(config, decoder.head_dim, decoder.max_positions);
  read_window(config, kind, decoder);
  decoder.output_bias = decoder.attention_bias;
  if (kind == "qwen2") {
    // On queries, keys and values, whatever the keys say.
    decoder.attention_bias = true;
    decoder.output_bias = decoder.mlp_bias = false;
  }
  return decoder;
}

VisionTowerConfig read_tower_config(const JsonView& config, int64_t feature_layer) {
  if (config.has("vision_config")) return read_tower_config(config.object("vision_config"), feature_layer);
  const std::vector<TowerKind>& kinds = tower_kinds();
  const std::string type = config.text("model_type", kinds.front().model_type);
  const auto known = std::find_if(kinds.begin(), kinds.end(), [&](const TowerKind& known) {
    return type == known.model_type || type == known.of_both;
  });
  require(known != kinds.end(), Fault::bad_file, config.source(), ": the vision tower ", in_quotes(type),
          " is not supported; supported are ", types_of(kinds));
  VisionTowerConfig tower = known->defaults;
  tower_keys(tower, KeyReader(config));
  require(tower.width % tower.heads == 0, Fault::bad_file, config.source(), ": ", tower.heads,
          " heads do not divide hidden_size ", tower.width);
  require(tower.patch_px <= std::min(tower.image.width, tower.image.height), Fault::bad_file, config.source(),
          ": patches of ", tower.patch_px, " pixels do not fit into images of ", tower.image.width, " x ",
          tower.image.height);
  require(tower.channels == 3, Fault::bad_file, config.source(), ": 'num_channels' is ", tower.channels,
          ", pictures have 3");
  tower.layers_run = feature_layer < 0 ? tower.layers + 1 + feature_layer : feature_layer;
  require(tower.layers_run >= 0 && tower.layers_run <= tower.layers, Fault::bad_file, config.source(),
          ": the feature layer ", feature_layer, " is outside of the tower's ", tower.layers, " layers");
  return tower;
}

}  // namespace lithe::models
