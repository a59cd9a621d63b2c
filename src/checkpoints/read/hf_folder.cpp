// Routers and EAS's adapters, which transformers does not know, are beside a layer's other weights.
#include "checkpoints/read/hf_folder.h"

#include "base/error.h"
#include "checkpoints/read/config.h"
#include "checkpoints/read/llava_eas.h"
#include "checkpoints/read/tied_head.h"
#include "io/hub_cache.h"

namespace lithe::models {
namespace {

// Checkpoint names, the most common layout first.
const std::vector<std::string> kDecoderPrefixes{"language_model.model.", "model.language_model.",
                                                "model.language_model.model."};
const std::vector<std::string> kHeadPrefixes{"language_model.", "", "model.language_model."};
const std::vector<std::string> kTowerPrefixes{"vision_tower.vision_model.", "vision_tower.",
                                              "model.vision_tower.vision_model.", "model.vision_tower."};
const std::vector<std::string> kProjectorPrefixes{"multi_modal_projector.", "model.multi_modal_projector."};
const std::vector<std::string> kNewlinePrefixes{"", "model."};

/// The value of a key that is an object, or `fallback` if it is left out.
JsonView object_or(const JsonView& config, const char* key, const Json& fallback) {
  return config.has(key) ? config.object(key) : JsonView(fallback, config.source() + ": " + key);
}

/// Routers and adapters, which only the tensors show; a folder has routers for the plan that is in it.
void find_additions(const Source& source, const WeightLoader& loader, const io::Checkpoint& checkpoint,
                    const Layout& layout, DecoderConfig& decoder) {
  if (!source.plan_file().empty()) find_routers(checkpoint, layout, decoder);
  decoder.eas = read_eas(source.config, decoder_part(loader, checkpoint, layout, decoder.layers));
}

int64_t read_feature_layer(const JsonView& config, int64_t fallback) {
  constexpr const char* kKey = "vision_feature_layer";
  if (!config.has(kKey) || !config.json()[kKey].is_array()) return config.integer(kKey, fallback);
  const Json& list = config.json()[kKey];
  require(list.size() == 1 && list[0].is_number_integer(), Fault::bad_file, config.source(),
          ": features of several layers ('", kKey, "') are not supported, only of one");
  return list[0].get<int64_t>();
}

VisionTowerConfig read_tower(const JsonView& config, const HfDefaults& defaults) {
  VisionTowerConfig tower = read_tower_config(object_or(config, "vision_config", defaults.tower),
                                              read_feature_layer(config, defaults.feature_layer));
  const std::string select = config.text("vision_feature_select_strategy", defaults.select_strategy);
  require(select == "default" || select == "full", Fault::bad_file, config.source(),
          ": 'vision_feature_select_strategy' is '", select, "'; known are default and full");
  require(select == "full" || tower.class_token, Fault::bad_file, config.source(),
          ": 'vision_feature_select_strategy' is 'default', which leaves out "
          "the class token, but the tower has none; "
          "set it to full");
  tower.keep_class_token = tower.class_token && select == "full";
  return tower;
}

}  // namespace

Layout llava_hf_layout(const io::Checkpoint* checkpoint) {
  const auto find = [&](const std::vector<std::string>& prefixes, const char* probe) {
    return checkpoint ? prefix_of(*checkpoint, prefixes, probe) : prefixes.front();
  };
  return {.decoder = find(kDecoderPrefixes, "embed_tokens.weight"),
          .head = find(kHeadPrefixes, "lm_head.weight"),
          .tower = find(kTowerPrefixes, kTowerProbe),
          .projector = find(kProjectorPrefixes, "linear_1.weight"),
          .newline = find(kNewlinePrefixes, "image_newline")};
}

HfFolder::HfFolder(const Source& source, const std::string& family, const HfDefaults& defaults)
    : source_(source),
      loader_(source.options, asks_for_tied_head(source.config)),
      checkpoint_(loader_.open(source.folder)),
      layout_(llava_hf_layout(&checkpoint_)),
      tower_files_{{{&checkpoint_, layout_.tower}}},
      model_(std::make_unique<Model>()) {
  static const Json kNone = Json::object();
  const JsonView& config = source.config;
  model_->name = io::name_of_folder(source.folder);
  model_->family = family;
  model_->folder = source.folder;
  const JsonView text = object_or(config, "text_config", kNone);
  DecoderConfig decoder = read_decoder_config(text, text.text("model_type", defaults.decoder));
  decoder.tied_embeddings = ties_head(config, checkpoint_, layout_) && !loader_.adapts_head();
  find_additions(source, loader_, checkpoint_, layout_, decoder);
  model_->decoder = shaped_decoder(decoder);
  VisionTowerConfig tower = read_tower(config, defaults);
  tower.eas = read_eas(config, tower_part(tower_files_, tower.layers_run));
  model_->vision.emplace().tower = shaped_tower(tower);
  vision().projector =
      shaped_projector({tower.width, decoder.hidden, decoder.hidden}, config.boolean("multimodal_projector_bias", true),
                       ops::activation_from_name(config.text("projector_hidden_act", "gelu"), config.source()));
}

void HfFolder::load() {
  take_decoder(loader_, checkpoint_, model_->decoder, layout_);
  take_tower(loader_, tower_files_, vision().tower);
  take_projector(loader_, checkpoint_, vision().projector, layout_);
  take_newline(loader_, checkpoint_, vision(), layout_);
  loader_.refuse_others(checkpoint_);
  model_->loaded = loader_.load();
  tie(model_->decoder);
}

std::unique_ptr<Model> HfFolder::complete() {
  models::complete(*model_, source_, std::nullopt);
  return std::move(model_);
}

}  // namespace lithe::models
