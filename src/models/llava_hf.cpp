// LLaVA-1.5 and LLaVA-NeXT as Hugging Face transformers stores them (llava-hf/*), in the names of its versions 4 and 5.
#include <array>

#include "base/error.h"
#include "models/config.h"
#include "models/family.h"
#include "text/conversation.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

// Checkpoint names, the most common layout first.
const std::vector<std::string> kDecoderPrefixes{"language_model.model.", "model.language_model.",
                                                "model.language_model.model."};
const std::vector<std::string> kHeadPrefixes{"language_model.", "", "model.language_model."};
const std::vector<std::string> kTowerPrefixes{"vision_tower.vision_model.", "vision_tower.",
                                              "model.vision_tower.vision_model.", "model.vision_tower."};
const std::vector<std::string> kProjectorPrefixes{"multi_modal_projector.", "model.multi_modal_projector."};
const std::vector<std::string> kNewlinePrefixes{"", "model."};

/// The value of a key that is an object, or an empty object where it is left out: then transformers' defaults hold.
JsonView object_or_empty(const JsonView& config, const char* key) {
  static const Json kEmpty = Json::object();
  return config.has(key) ? config.object(key) : JsonView(kEmpty, config.source() + ": " + key);
}

DecoderConfig read_decoder(const JsonView& config) {
  const JsonView text = object_or_empty(config, "text_config");
  const std::string type = text.text("model_type", "llama");
  require(type == "llama" || type == "mistral", Fault::bad_file, text.source(), ": the decoder '", type,
          "' is not supported; supported are llama and mistral");
  DecoderConfig decoder = read_decoder_config(text, type == "mistral");
  if (!text.has("tie_word_embeddings")) decoder.tied_embeddings = config.boolean("tie_word_embeddings", false);
  return decoder;
}

/// transformers' default where a config has no vision_config: CLIP ViT-L/14 at 336 pixels.
const Json& default_tower() {
  static const Json kTower = {{"model_type", "clip_vision_model"},
                              {"hidden_size", 1024},
                              {"intermediate_size", 4096},
                              {"num_hidden_layers", 24},
                              {"num_attention_heads", 16},
                              {"image_size", 336},
                              {"patch_size", 14}};
  return kTower;
}

VisionTowerConfig read_tower(const JsonView& config) {
  constexpr int64_t kDefaultLayer = -2;
  int64_t layer = kDefaultLayer;
  if (config.has("vision_feature_layer") && config.json()["vision_feature_layer"].is_array()) {
    const Json& list = config.json()["vision_feature_layer"];
    require(list.size() == 1 && list[0].is_number_integer(), Fault::bad_file, config.source(),
            ": features of several layers ('vision_feature_layer') are not supported, only of one");
    layer = list[0].get<int64_t>();
  } else {
    layer = config.integer("vision_feature_layer", kDefaultLayer);
  }
  const JsonView vision = config.has("vision_config") ? config.object("vision_config")
                                                      : JsonView(default_tower(), config.source() + ": vision_config");
  VisionTowerConfig tower = read_tower_config(vision, layer);
  const std::string select = config.text("vision_feature_select_strategy", "default");
  require(select == "default" || select == "full", Fault::bad_file, config.source(),
          ": 'vision_feature_select_strategy' is '", select, "'; known are default and full");
  tower.keep_class_token = select == "full";
  return tower;
}

image::PreprocessConfig read_preprocessing(const fs::path& folder) {
  for (const char* name : {"preprocessor_config.json", "processor_config.json"}) {
    if (!fs::exists(folder / name)) continue;
    const Json json = read_json_file(folder / name, 1 << 20);
    return image::PreprocessConfig::from_json(JsonView(json, (folder / name).string()), image::Dialect::transformers);
  }
  fail(Fault::bad_file, folder.string(), ": preprocessor_config.json is missing; it comes with the published model");
}

void take_projector(WeightLoader& loader, const io::Checkpoint& checkpoint, Projector& projector) {
  const std::string prefix = prefix_of(checkpoint, kProjectorPrefixes, "linear_1.weight");
  visit(projector, [&](const WeightSlot& slot) {
    const std::string name = (slot.name.starts_with("0.") ? "linear_1" : "linear_2") + slot.name.substr(1);
    loader.take(checkpoint, prefix + name, slot);
  });
}

void load_weights(Model& model, const Source& source) {
  WeightLoader loader(source.options);
  const io::Checkpoint& checkpoint = loader.open(source.folder);
  take_decoder(loader, checkpoint, model.decoder, prefix_of(checkpoint, kDecoderPrefixes, "embed_tokens.weight"),
               prefix_of(checkpoint, kHeadPrefixes, "lm_head.weight"), false);
  take_tower(loader, checkpoint, model.tower, prefix_of(checkpoint, kTowerPrefixes, "embeddings.class_embedding"));
  take_projector(loader, checkpoint, model.projector);
  if (model.image_newline) {
    loader.take(checkpoint, prefix_of(checkpoint, kNewlinePrefixes, "image_newline") + "image_newline",
                {"image_newline", *model.image_newline, {model.decoder.config.hidden}});
  }
  loader.refuse_others(checkpoint);
  model.weight_bytes = loader.load();
  tie(model.decoder);
}

}  // namespace

std::unique_ptr<Model> open_llava_hf(const Source& source) {
  const JsonView& config = source.config;
  const bool next = config.text("model_type") == "llava_next";
  auto model = std::make_unique<Model>();
  model->name = source.folder.filename().string();
  model->family = next ? "llava_next" : "llava";
  model->folder = source.folder;
  model->decoder = shaped_decoder(read_decoder(config));
  model->tower = shaped_tower(read_tower(config));
  const int64_t hidden = model->decoder.config.hidden;
  model->projector =
      shaped_projector({model->tower.config.width, hidden, hidden}, config.boolean("multimodal_projector_bias", true),
                       ops::activation_from_name(config.text("projector_hidden_act", "gelu"), config.source()));
  model->preprocess = read_preprocessing(source.folder);
  if (next) {
    model->image_newline = Tensor();
    model->packing = {.order = Packing::Order::spatial_unpad, .rounds = true};
  }
  load_weights(*model, source);
  model->prompt.dialect = text::Dialect::hf;
  model->prompt.chat_template = text::ChatTemplate::open(source.folder);
  if (!model->prompt.chat_template) {
    model->prompt.conversation = text::conversation_for(model->name, "");
    model->prompt.stop_strings = {text::conversation_stop(model->prompt.conversation)};
  }
  complete(*model, source, std::nullopt);
  return model;
}

}  // namespace lithe::models
