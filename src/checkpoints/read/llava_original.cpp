// LLaVA as its authors store it (liuhaotian/llava-*), p-MoD (MCG-NJU/p-MoD-*), which adds `mod_*` keys and routers, and
// EAS, which adds adapters and takes attentions out (llava_eas.h).
#include <algorithm>

#include "base/error.h"
#include "checkpoints/read/config.h"
#include "checkpoints/read/conventions.h"
#include "checkpoints/read/family.h"
#include "checkpoints/read/layouts.h"
#include "checkpoints/read/tied_head.h"
#include "io/hub_cache.h"
#include "models/known_towers.h"
#include "plan/schedule.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

// Checkpoint names.
const std::string kDecoderPrefix = "model.";
const std::vector<std::string> kInnerTowerPrefixes{"model.vision_tower.vision_tower.vision_model.",
                                                   "model.vision_tower.vision_tower."};

[[noreturn]] void fail_without_tower(const fs::path& folder, const std::string& name) {
  const std::optional<io::HubName> hub = io::parse_hub_name(name);
  fail(Fault::bad_file, folder.string(), ": the vision tower '", name,
       "' is missing; put its folder (config.json, preprocessor_config.json, weights) at ",
       (folder / last_part(name)).string(), hub ? ", or run `" + io::download_command(*hub) + "`" : "");
}

/// The tower's folder, its config and its preprocessing.
struct TowerSource {
  fs::path folder;  ///< Empty if there is none.
  Json config, preprocessing;
  std::string config_name, preprocessing_name;
};

TowerSource find_tower(const Source& source) {
  const std::string name =
      source.config.text(source.config.has("mm_vision_tower") ? "mm_vision_tower" : "vision_tower");
  TowerSource tower{.folder = named_folder(source.folder, name)};
  const KnownTower* known = known_tower(last_part(name).string());
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
    auto found = folder.empty() ? std::nullopt : find_image_processor(folder);
    if (!found) continue;
    tower.preprocessing_name = std::move(found->file);
    tower.preprocessing = std::move(found->settings);
    return tower;
  }
  require(known, Fault::bad_file, tower.folder.string(),
          ": preprocessor_config.json is missing; it comes with the published vision tower");
  tower.preprocessing_name = name;
  tower.preprocessing = parse_json(known->preprocessing, name);
  return tower;
}

VisionTowerConfig read_tower(const TowerSource& tower, const JsonView& config) {
  VisionTowerConfig read =
      read_tower_config(JsonView(tower.config, tower.config_name), config.integer("mm_vision_select_layer", -2));
  require(read.class_token, Fault::bad_file, tower.config_name,
          ": LLaVA's own layout is read with towers of CLIP only, which this "
          "is not");
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

/// The tower's weights: those that were trained along, inside the checkpoint, else those of the tower's own folder,
/// with adapters of EAS inside the checkpoint or in that folder.
TowerFiles open_tower(WeightLoader& loader, const Source& source, const io::Checkpoint& checkpoint,
                      const Layout& layout, const fs::path& folder) {
  TowerFiles files{{{&checkpoint, layout.tower}}};
  if (holds_tower(checkpoint, layout)) return files;
  if (folder.empty()) fail_without_tower(source.folder, source.config.text("mm_vision_tower", "clip"));
  const io::Checkpoint& own = loader.open(folder);
  files.places.push_back({&own, own_tower_prefix(own)});
  return files;
}

/// Routers are those of the published plan; if there is a plan.json instead of its keys, those that the checkpoint has.
DecoderConfig read_decoder(const Source& source, const io::Checkpoint& checkpoint,
                           const std::optional<plan::Plan>& published) {
  const JsonView& config = source.config;
  const std::string type = config.text("model_type");
  const bool mistral = type == "llava_mistral" || type == "mistral";
  DecoderConfig decoder = read_decoder_config(config, mistral ? "mistral" : "llama");
  if (published) {
    for (const plan::LayerPlan& layer : published->layers) decoder.routers.push_back(layer.layer);
  } else if (!source.plan_file().empty()) {
    decoder.routers = layers_with_router(checkpoint, kDecoderPrefix, decoder.layers);
  }
  decoder.router_bias = config.boolean("mod_bias_enabled", true);
  return decoder;
}

void refuse_image_marks(const JsonView& config) {
  require(!config.boolean("mm_use_im_start_end", false), Fault::bad_file, config.source(),
          ": marks around pictures ('mm_use_im_start_end') are not supported");
}

/// Tower, projector and what makes rows of pictures and prompts of questions.
void read_vision(const Source& source, const Layout& layout, WeightLoader& loader, const io::Checkpoint& checkpoint,
                 Model& model) {
  const JsonView& config = source.config;
  const TowerSource tower = find_tower(source);
  model.tower_folder = tower.folder;
  const TowerFiles files = open_tower(loader, source, checkpoint, layout, tower.folder);
  VisionTowerConfig shape = read_tower(tower, config);
  shape.eas = read_eas(config, tower_part(files, shape.layers_run));
  Vision& vision = model.vision.emplace();
  vision.tower = shaped_tower(shape);
  vision.projector =
      shaped_projector(projector_widths(config, shape.width, model.decoder.config.hidden), true, ops::Activation::gelu);
  if (read_conventions(config, "transformers")) {
    vision.preprocess = read_processor(source.folder);
    if (config.text("mm_patch_merge_type", "flat") == "spatial_unpad") pack_like_next(vision);
    follow_template(config, model);
  } else {
    vision.preprocess = image::PreprocessConfig::from_json(JsonView(tower.preprocessing, tower.preprocessing_name),
                                                           image::Dialect::original);
    follow_llava(config, model);
    follow_conversation(choose_conversation(source.folder, source.folder, config), config.source(), model);
  }
  take_projector(loader, checkpoint, vision.projector, layout);
  take_tower(loader, files, vision.tower);
  if (files.places.size() > 1) loader.refuse_others(*files.places.back().checkpoint);
  take_newline(loader, checkpoint, vision, layout);
  loader.ignore(checkpoint, name_in(layout, kNewline));  // some carry it and never read it
}

}  // namespace

Layout llava_original_layout(const io::Checkpoint* checkpoint, std::string_view projector_type,
                             std::vector<int64_t> wrapped) {
  using Names = Layout::ProjectorNames;
  return {.decoder = kDecoderPrefix,
          .head = "",
          .tower = checkpoint ? prefix_of(*checkpoint, kInnerTowerPrefixes, kTowerProbe) : kInnerTowerPrefixes.front(),
          .projector = "model.mm_projector.",
          .newline = "model.",
          .projector_names = projector_type == "linear" ? Names::single : Names::sequential,
          .wrapped = std::move(wrapped)};
}

std::unique_ptr<Model> open_llava_original(const Source& source) {
  const JsonView& config = source.config;
  refuse_image_marks(config);
  auto model = std::make_unique<Model>();
  model->name = io::name_of_folder(source.folder);
  model->family = "llava_original";
  model->folder = source.folder;
  model->prompting.dialect = text::Dialect::original;
  std::optional<plan::Plan> published;
  if (plan::is_public_pmod(config)) {
    size_in(config, "num_hidden_layers", 32, plan::kMaxLayers);  // bounded before a plan of that depth is made
    published = plan::from_public_pmod_config(config);
  }
  WeightLoader loader(source.options, asks_for_tied_head(config));
  const io::Checkpoint& checkpoint = loader.open(source.folder);
  DecoderConfig decoder = read_decoder(source, checkpoint, published);
  const Layout layout = llava_original_layout(&checkpoint, config.text("mm_projector_type", "linear"), decoder.routers);
  decoder.tied_embeddings = ties_head(config, checkpoint, layout) && !loader.adapts_head();
  decoder.eas = read_eas(config, decoder_part(loader, checkpoint, layout, decoder.layers));
  model->decoder = shaped_decoder(decoder);
  take_decoder(loader, checkpoint, model->decoder, layout);
  if (config.has("mm_vision_tower") || config.has("vision_tower"))
    read_vision(source, layout, loader, checkpoint, *model);
  else
    follow_conversation(choose_conversation(source.folder, source.folder, config), config.source(), *model);
  loader.refuse_others(checkpoint);
  model->loaded = loader.load();
  tie(model->decoder);
  complete(*model, source, published);
  return model;
}

}  // namespace lithe::models
