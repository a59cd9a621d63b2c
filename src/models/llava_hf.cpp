// LLaVA-1.5 and LLaVA-NeXT as Hugging Face transformers stores them (llava-hf/*), in the names of its versions 4 and 5.
// Routers and EAS's adapters, which transformers does not know, stand beside a layer's other weights.
#include <array>

#include "base/error.h"
#include "io/hub_cache.h"
#include "models/config.h"
#include "models/conventions.h"
#include "models/family.h"
#include "models/layouts.h"
#include "models/llava_eas.h"
#include "models/tied_head.h"

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
  return read_decoder_config(text, type == "mistral");
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

/// Routers and adapters, which only the tensors show; a folder has routers for the plan that lies in it.
void find_additions(const Source& source, const io::Checkpoint& checkpoint, const Layout& layout,
                    DecoderConfig& decoder) {
  if (fs::exists(source.folder / "plan.json")) {
    decoder.routers = layers_with_router(checkpoint, layout.decoder, decoder.layers);
    decoder.router_bias = !decoder.routers.empty() &&
                          checkpoint.contains(name_in(layout, WeightName{Part::decoder, decoder.routers.front(),
                                                                         Adapter::none, Role::router, Kind::bias}));
  }
  decoder.eas = read_eas(source.config, decoder_part(checkpoint, layout, decoder.layers));
}

void take_weights(WeightLoader& loader, const io::Checkpoint& checkpoint, const Layout& layout, const TowerFiles& tower,
                  Model& model) {
  take_decoder(loader, checkpoint, model.decoder, layout);
  take_tower(loader, tower, model.vision->tower);
  take_projector(loader, checkpoint, model.vision->projector, layout);
  take_newline(loader, checkpoint, *model.vision, layout);
  loader.refuse_others(checkpoint);
}

/// Rows after `vocab` were added so that transformers finds an embedding for "<image>"; no answer may hold them.
void drop_added_rows(const JsonView& conventions, Decoder& decoder) {
  decoder.config.vocab = size_in(conventions, "vocab_size", decoder.config.vocab, decoder.config.vocab);
  decoder.embeddings = decoder.embeddings.first_rows(decoder.config.vocab);
  if (!decoder.config.tied_embeddings) decoder.head.weight = decoder.head.weight.first_rows(decoder.config.vocab);
  if (decoder.head.low_rank) decoder.head.low_rank->b = decoder.head.low_rank->b.first_rows(decoder.config.vocab);
}

}  // namespace

Layout llava_hf_layout(const io::Checkpoint* checkpoint) {
  const auto find = [&](const std::vector<std::string>& prefixes, const char* probe) {
    return checkpoint ? prefix_of(*checkpoint, prefixes, probe) : prefixes.front();
  };
  return {.decoder = find(kDecoderPrefixes, "embed_tokens.weight"),
          .head = find(kHeadPrefixes, "lm_head.weight"),
          .tower = find(kTowerPrefixes, "embeddings.class_embedding"),
          .projector = find(kProjectorPrefixes, "linear_1.weight"),
          .newline = find(kNewlinePrefixes, "image_newline")};
}

std::unique_ptr<Model> open_llava_hf(const Source& source) {
  const JsonView& config = source.config;
  const bool next = config.text("model_type") == "llava_next";
  auto model = std::make_unique<Model>();
  model->name = io::name_of_folder(source.folder);
  model->family = next ? "llava_next" : "llava";
  model->folder = source.folder;
  WeightLoader loader(source.options, asks_for_tied_head(config));
  const io::Checkpoint& checkpoint = loader.open(source.folder);
  const Layout layout = llava_hf_layout(&checkpoint);
  DecoderConfig decoder = read_decoder(config);
  decoder.tied_embeddings = ties_head(config, checkpoint, layout) && !loader.adapts_head();
  find_additions(source, checkpoint, layout, decoder);
  model->decoder = shaped_decoder(decoder);
  VisionTowerConfig tower = read_tower(config);
  const TowerFiles tower_files{{{&checkpoint, layout.tower}}};
  tower.eas = read_eas(config, tower_part(tower_files, tower.layers_run));
  Vision& vision = model->vision.emplace();
  vision.tower = shaped_tower(tower);
  const int64_t hidden = decoder.hidden;
  vision.projector =
      shaped_projector({tower.width, hidden, hidden}, config.boolean("multimodal_projector_bias", true),
                       ops::activation_from_name(config.text("projector_hidden_act", "gelu"), config.source()));
  follow_transformers(config, next, *model);
  const std::optional<JsonView> conventions = read_conventions(config, "llava");
  if (conventions) {
    vision.newline.reset();
    vision.packing = {};
    model->prompting = {};
    model->notes.clear();
    follow_llava(*conventions, *model);
    follow_conversation({conventions->text("conversation")}, conventions->source(), *model);
  }
  take_weights(loader, checkpoint, layout, tower_files, *model);
  model->loaded = loader.load();
  if (conventions) drop_added_rows(*conventions, model->decoder);
  tie(model->decoder);
  complete(*model, source, std::nullopt);
  return model;
}

}  // namespace lithe::models
