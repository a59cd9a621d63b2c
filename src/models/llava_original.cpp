// LLaVA as its authors store it (liuhaotian/llava-*), p-MoD (MCG-NJU/p-MoD-*), which adds `mod_*` keys and routers, and
// EAS, which adds adapters and takes attentions out (llava_eas.h).
#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "models/config.h"
#include "models/family.h"
#include "models/known_towers.h"
#include "models/llava_eas.h"
#include "plan/schedule.h"
#include "text/conversation.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

// Checkpoint names.
const std::string kDecoderPrefix = "model.";
const std::string kHeadPrefix;
const std::string kProjectorPrefix = "model.mm_projector.";
const std::string kNewline = "model.image_newline";
const std::vector<std::string> kInnerTowerPrefixes{"model.vision_tower.vision_tower.vision_model.",
                                                   "model.vision_tower.vision_tower."};
const std::vector<std::string> kTowerPrefixes{"vision_model.", ""};  // in the tower's own folder
const std::string kProbe = "embeddings.class_embedding";

/// Where the tower's folder may be: the path in the config, from the model's folder or from the one above; of a hub id
/// the last part.
fs::path find_tower_folder(const fs::path& folder, const fs::path& named) {
  const fs::path above = fs::absolute(folder).lexically_normal().parent_path();
  for (const fs::path& path : {folder / named, above / named, folder / named.filename(), above / named.filename()}) {
    if (fs::exists(path / "config.json")) return path;
  }
  return {};
}

[[noreturn]] void fail_without_tower(const fs::path& folder, const std::string& name) {
  fail(Fault::bad_file, folder.string(), ": the vision tower '", name,
       "' is missing; put its folder (config.json, preprocessor_config.json, weights) at ",
       (folder / fs::path(name).filename()).string());
}

/// The tower's folder, its config and its preprocessing.
struct TowerSource {
  fs::path folder;  ///< Empty where there is none.
  Json config, preprocessing;
  std::string config_name, preprocessing_name;
};

TowerSource find_tower(const Source& source) {
  const std::string name =
      source.config.text(source.config.has("mm_vision_tower") ? "mm_vision_tower" : "vision_tower");
  TowerSource tower{.folder = find_tower_folder(source.folder, name)};
  const KnownTower* known = known_tower(fs::path(name).filename().string());
  if (!tower.folder.empty()) {
    tower.config_name = (tower.folder / "config.json").string();
    tower.config = read_json_file(tower.config_name, 1 << 20);
  } else if (known) {
    tower.config_name = name;
    tower.config = parse_json(known->config, name);
  } else {
    fail_without_tower(source.folder, name);
  }
  for (const fs::path& folder : {tower.folder, source.folder}) {
    const fs::path file = folder / "preprocessor_config.json";
    if (folder.empty() || !fs::exists(file)) continue;
    tower.preprocessing_name = file.string();
    tower.preprocessing = read_json_file(file, 1 << 20);
    return tower;
  }
  require(known, Fault::bad_file, tower.folder.string(),
          ": preprocessor_config.json is missing; it comes with the published vision tower");
  tower.preprocessing_name = name;
  tower.preprocessing = parse_json(known->preprocessing, name);
  return tower;
}

/// "anyres_max_9" -> 9
std::optional<int64_t> most_patches(const std::string& aspect, const JsonView& config) {
  constexpr std::string_view kPrefix = "anyres_max_";
  if (!aspect.starts_with(kPrefix)) return std::nullopt;
  int64_t most = 0;
  const char* end = aspect.data() + aspect.size();
  const auto [stop, code] = std::from_chars(aspect.data() + kPrefix.size(), end, most);
  require(code == std::errc() && stop == end && most >= 1 && most <= 4096, Fault::bad_file, config.source(),
          ": 'image_aspect_ratio' is '", aspect, "', expected anyres_max_N with N from 1 to 4096");
  return most;
}

void read_packing(const JsonView& config, Model& model) {
  const std::string type = config.text("mm_patch_merge_type", "flat");
  if (type == "flat") return;
  require(type == "spatial" || type == "spatial_unpad", Fault::bad_file, config.source(),
          ": 'mm_patch_merge_type' is '", type, "'; known are flat, spatial and spatial_unpad");
  model.packing.order = type == "spatial" ? Packing::Order::spatial : Packing::Order::spatial_unpad;
  if (type == "spatial") return;
  model.image_newline = Tensor();
  constexpr double kShrinkOfAnyresMax = 1.1;  // LLaVA-NeXT; p-MoD's own key has 1.01
  model.packing.max_patches = most_patches(config.text("image_aspect_ratio", ""), config);
  if (model.packing.max_patches)
    model.packing.shrink_above = kShrinkOfAnyresMax;
  else if (config.has("max_num_patches"))
    model.packing.max_patches = size_in(config, "max_num_patches", 1, 4096);
}

image::PreprocessConfig read_preprocessing(const TowerSource& tower, const JsonView& config) {
  auto preprocess = image::PreprocessConfig::from_json(JsonView(tower.preprocessing, tower.preprocessing_name),
                                                       image::Dialect::original);
  Json aspect = config.json();
  if (config.text("image_aspect_ratio", "").starts_with("anyres_max_")) aspect["image_aspect_ratio"] = "anyres";
  preprocess.take_model_config(JsonView(aspect, config.source()));
  return preprocess;
}

VisionTowerConfig read_tower(const TowerSource& tower, const JsonView& config) {
  VisionTowerConfig read =
      read_tower_config(JsonView(tower.config, tower.config_name), config.integer("mm_vision_select_layer", -2));
  const std::string select = config.text("mm_vision_select_feature", "patch");
  require(select == "patch" || select == "cls_patch", Fault::bad_file, config.source(),
          ": 'mm_vision_select_feature' is '", select, "'; known are patch and cls_patch");
  read.keep_class_token = select == "cls_patch";
  return read;
}

/// `linear`, `mlpNx_gelu`, `identity`: the widths from layer to layer.
std::vector<int64_t> projector_widths(const JsonView& config, int64_t width, int64_t hidden) {
  const std::string type = config.text("mm_projector_type", "linear");
  if (type == "linear") return {width, hidden};
  if (type == "identity") {
    require(width == hidden, Fault::bad_file, config.source(), ": an identity projector cannot turn features of ",
            width, " into rows of ", hidden);
    return {};
  }
  constexpr int64_t kMostLayers = 9;
  const bool is_mlp =
      type.size() == std::string_view("mlp2x_gelu").size() && type.starts_with("mlp") && type.ends_with("x_gelu");
  const int64_t layers = is_mlp ? type[3] - '0' : 0;
  require(layers >= 1 && layers <= kMostLayers, Fault::bad_file, config.source(), ": the projector '", type,
          "' is not supported; supported are linear, mlpNx_gelu and identity");
  std::vector<int64_t> widths(static_cast<size_t>(layers) + 1, hidden);
  widths.front() = width;
  return widths;
}

void take_projector(WeightLoader& loader, const io::Checkpoint& checkpoint, const JsonView& config,
                    Projector& projector) {
  // nn.Sequential counts the activations between: 0, 2, 4; a single Linear has no number.
  const bool numbered = config.text("mm_projector_type", "linear") != "linear";
  visit(projector, [&](const WeightSlot& slot) {
    const size_t dot = slot.name.find('.');
    const std::string number = numbered ? std::to_string(2 * std::stoi(slot.name.substr(0, dot))) + "." : "";
    loader.take(checkpoint, kProjectorPrefix + number + slot.name.substr(dot + 1), slot);
  });
}

/// The tower's weights: those that were trained along, inside the checkpoint, else those of the tower's own folder.
void take_tower_weights(WeightLoader& loader, const Source& source, const io::Checkpoint& checkpoint,
                        const fs::path& folder, VisionTower& tower) {
  const std::string inner = prefix_of(checkpoint, kInnerTowerPrefixes, kProbe);
  if (checkpoint.contains(inner + kProbe)) return take_tower(loader, checkpoint, tower, inner);
  if (folder.empty()) fail_without_tower(source.folder, source.config.text("mm_vision_tower", "clip"));
  const io::Checkpoint& own = loader.open(folder);
  take_tower(loader, own, tower, prefix_of(own, kTowerPrefixes, kProbe));
  loader.refuse_others(own);
}

DecoderConfig read_decoder(const JsonView& config, const std::optional<plan::Plan>& published) {
  const std::string type = config.text("model_type");
  DecoderConfig decoder = read_decoder_config(config, type == "llava_mistral" || type == "mistral");
  if (!published) return decoder;
  for (const plan::LayerPlan& layer : published->layers) decoder.routers.push_back(layer.layer);
  decoder.router_bias = config.boolean("mod_bias_enabled", true);
  return decoder;
}

/// What precedes the names of a layer's weights.
std::string layer_prefix(const DecoderConfig& decoder, int64_t layer) {
  const bool routed = std::find(decoder.routers.begin(), decoder.routers.end(), layer) != decoder.routers.end();
  return concat(kDecoderPrefix, "layers.", layer, routed ? ".decoder_layer." : ".");
}

bool takes_attention_out(const std::map<int64_t, EasLayer>& eas) {
  return std::any_of(eas.begin(), eas.end(), [](const auto& entry) { return !entry.second.attention; });
}

void refuse_image_marks(const JsonView& config) {
  require(!config.boolean("mm_use_im_start_end", false), Fault::bad_file, config.source(),
          ": marks around pictures ('mm_use_im_start_end') are not supported");
}

}  // namespace

std::unique_ptr<Model> open_llava_original(const Source& source) {
  const JsonView& config = source.config;
  refuse_image_marks(config);
  auto model = std::make_unique<Model>();
  model->name = source.folder.filename().string();
  model->family = "llava_original";
  model->folder = source.folder;
  std::optional<plan::Plan> published;
  if (plan::is_public_pmod(config)) {
    size_in(config, "num_hidden_layers", 32, plan::kMaxLayers);  // bounded before a plan of that depth is made
    published = plan::from_public_pmod_config(config);
  }
  DecoderConfig decoder = read_decoder(config, published);
  WeightLoader loader(source.options);
  const io::Checkpoint& checkpoint = loader.open(source.folder);
  decoder.eas =
      read_eas(config, checkpoint, decoder.layers, [&](int64_t layer) { return layer_prefix(decoder, layer); });
  if (takes_attention_out(decoder.eas)) published = without_attention(published, decoder.eas);
  model->decoder = shaped_decoder(decoder);
  take_decoder(loader, checkpoint, model->decoder, kDecoderPrefix, kHeadPrefix, !decoder.routers.empty());
  if (config.has("mm_vision_tower") || config.has("vision_tower")) {
    const TowerSource tower = find_tower(source);
    model->tower_folder = tower.folder;
    model->tower = shaped_tower(read_tower(tower, config));
    model->preprocess = read_preprocessing(tower, config);
    model->projector = shaped_projector(
        projector_widths(config, model->tower.config.width, model->decoder.config.hidden), true, ops::Activation::gelu);
    read_packing(config, *model);
    take_projector(loader, checkpoint, config, model->projector);
    take_tower_weights(loader, source, checkpoint, tower.folder, model->tower);
    if (model->image_newline)
      loader.take(checkpoint, kNewline, {"image_newline", *model->image_newline, {model->decoder.config.hidden}});
    loader.ignore(checkpoint, kNewline);  // some checkpoints carry it and never read it
  }
  loader.refuse_others(checkpoint);
  model->weight_bytes = loader.load();
  tie(model->decoder);
  model->prompt.dialect = text::Dialect::original;
  model->prompt.conversation =
      config.text("conversation", text::conversation_for(model->name, config.text("model_type")));
  model->prompt.stop_strings = {text::conversation_stop(model->prompt.conversation)};
  complete(*model, source, published);
  return model;
}

}  // namespace lithe::models
