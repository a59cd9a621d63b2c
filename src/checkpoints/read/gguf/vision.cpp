#include "checkpoints/read/gguf/vision.h"

#include <array>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "checkpoints/read/config.h"
#include "checkpoints/read/conventions.h"
#include "checkpoints/read/gguf/decoder.h"
#include "checkpoints/read/gguf/names.h"

namespace lithe::models {
namespace {

std::string clip_key(const char* name) {
  return std::string("clip.vision.") + name;
}

bool is_clip(const io::GgufFile& file) {
  return file.find("v.class_embd") != nullptr;  // SigLIP has none
}

/// Neither flag: CLIP's own; towers of SigLIP were published with the approximate gelu, which llama.cpp's gelu is too.
const char* activation_of(const io::GgufFile& file) {
  if (file.boolean("clip.use_silu", false)) return "silu";
  if (!is_clip(file)) return "gelu_pytorch_tanh";
  return file.boolean("clip.use_gelu", false) ? "gelu" : "quick_gelu";
}

/// How many blocks the features need. Without a key it is all that the file holds: the converter leaves out those that
/// LLaVA does not read.
int64_t blocks_run(const io::GgufFile& file) {
  const std::vector<int64_t> layers = file.integers(clip_key("feature_layer"));
  if (layers.empty()) return file.integer(clip_key("block_count"));
  require(layers.size() == 1, Fault::bad_file, file.file(),
          ": features of several layers (\"clip.vision.feature_layer\") are not supported, only of one");
  return layers[0];
}

VisionTowerConfig tower_of(const io::GgufFile& file) {
  const Json config = {{"model_type", is_clip(file) ? "clip_vision_model" : "siglip_vision_model"},
                       {"hidden_size", file.integer(clip_key("embedding_length"))},
                       {"intermediate_size", file.integer(clip_key("feed_forward_length"))},
                       {"num_hidden_layers", file.integer(clip_key("block_count"))},
                       {"num_attention_heads", file.integer(clip_key("attention.head_count"))},
                       {"image_size", file.integer(clip_key("image_size"))},
                       {"patch_size", file.integer(clip_key("patch_size"))},
                       {"layer_norm_eps", file.number(clip_key("attention.layer_norm_epsilon"))},
                       {"hidden_act", activation_of(file)}};
  const int64_t blocks = blocks_run(file);
  require(blocks >= 0, Fault::bad_file, file.file(), ": \"clip.vision.feature_layer\" is ", blocks,
          ", it must count from the first layer");
  return read_tower_config(JsonView(config, file.file() + ": its metadata"), blocks);
}

/// The weight of a layer of the projector; null if there is none.
const io::GgufTensor* projector_layer(const io::GgufFile& file, int64_t layer) {
  return file.find(gguf_name({.part = Part::projector, .layer = layer, .role = Role::product}));
}

int64_t projector_layers(const io::GgufFile& file) {
  constexpr int64_t kMostLayers = 9;
  int64_t layers = 0;
  while (layers < kMostLayers && projector_layer(file, layers)) ++layers;
  return layers;
}

Projector projector_of(const io::GgufFile& file, int64_t width, int64_t hidden) {
  const std::string type = file.text("clip.projector_type", file.text(clip_key("projector_type"), "mlp"));
  require(type == "mlp", Fault::bad_file, file.file(), ": the projector ", in_quotes(type),
          " is not supported; supported is mlp, that of LLaVA-1.5 and LLaVA-NeXT");
  const int64_t layers = projector_layers(file);
  require(layers > 0, Fault::bad_file, file.file(), ": has no projector (\"mm.0.weight\")");
  std::vector<int64_t> widths(static_cast<size_t>(layers) + 1, hidden);
  widths.front() = width;
  return shaped_projector(widths, true, ops::Activation::gelu);
}

/// A list of three numbers; `fallback` if the key is missing.
Json triple(const io::GgufFile& file, const char* name, const std::array<double, 3>& fallback) {
  const std::vector<double> numbers = file.numbers(clip_key(name));
  return numbers.empty() ? Json(fallback) : Json(numbers);
}

/// What preprocessor_config.json of the tower says.
Json processor_of(const io::GgufFile& file) {
  const int64_t side = file.integer(clip_key("image_size"));
  const Json square = {{"height", side}, {"width", side}};
  return {{"size", is_clip(file) ? Json{{"shortest_edge", side}} : square},
          {"crop_size", square},
          {"do_center_crop", is_clip(file)},
          {"image_mean", triple(file, "image_mean", {0.48145466, 0.4578275, 0.40821073})},
          {"image_std", triple(file, "image_std", {0.26862954, 0.26130258, 0.27577711})}};
}

/// What LLaVA's config.json says of pictures.
Json picture_keys(const io::GgufFile& file) {
  Json keys = Json::object();
  Json pinpoints = Json::array();
  const std::vector<int64_t> sides = file.integers(clip_key("image_grid_pinpoints"));
  constexpr size_t kMostSides = 2048;
  require(sides.size() % 2 == 0 && sides.size() <= kMostSides, Fault::bad_file, file.file(),
          ": \"clip.vision.image_grid_pinpoints\" has ", sides.size(), " numbers, expected up to ", kMostSides / 2,
          " pairs of sides");
  for (size_t i = 0; i + 1 < sides.size(); i += 2) pinpoints.push_back({sides[i], sides[i + 1]});
  if (!pinpoints.empty()) keys["image_grid_pinpoints"] = pinpoints;
  keys["image_aspect_ratio"] = file.text(clip_key("image_aspect_ratio"), pinpoints.empty() ? "pad" : "anyres");
  keys["mm_patch_merge_type"] = file.text(
      clip_key("mm_patch_merge_type"), !pinpoints.empty() && file.find(gguf_name(kNewline)) ? "spatial_unpad" : "flat");
  return keys;
}

}  // namespace

bool fits_decoder(const io::GgufFile& mmproj, int64_t hidden) {
  const int64_t layers = projector_layers(mmproj);
  if (layers == 0) return true;
  const std::vector<int64_t>& last = projector_layer(mmproj, layers - 1)->shape;
  return last.empty() || last[0] == hidden;
}

bool swaps_feed_forward(const io::GgufFile& mmproj, const VisionTowerConfig& tower) {
  const io::GgufTensor* const down = mmproj.find("v.blk.0.ffn_down.weight");
  return down && down->shape.size() == 2 && down->shape[1] == tower.width;
}

void read_vision(const io::GgufFile& mmproj, Model& model) {
  const std::string architecture = architecture_of(mmproj);
  require(architecture == "clip", Fault::bad_file, mmproj.file(), ": is not an mmproj, its architecture is ",
          in_quotes(architecture), " and not \"clip\"");
  Vision& vision = model.vision.emplace();
  const VisionTowerConfig tower = tower_of(mmproj);
  vision.tower = shaped_tower(tower);
  vision.projector = projector_of(mmproj, tower.width, model.decoder.config.hidden);
  const std::string source = mmproj.file() + ": its metadata";
  const Json processor = processor_of(mmproj), keys = picture_keys(mmproj);
  vision.preprocess = image::PreprocessConfig::from_json(JsonView(processor, source), image::Dialect::original);
  follow_llava(JsonView(keys, source), model);
}

}  // namespace lithe::models
