#include "checkpoints/write/layout_configs.h"

#include <array>

#include "base/error.h"
#include "checkpoints/read/config_keys.h"
#include "checkpoints/read/conventions.h"
#include "checkpoints/read/llava_eas.h"

namespace lithe::models {
namespace {

/// Where a decoder's keys are: text_config, or the whole file in LLaVA's layout.
JsonView decoder_part_of(const JsonView& config) {
  return config.has("text_config") ? config.object("text_config") : config;
}

void copy_keys(const Json& from, std::initializer_list<const char*> keys, Json& to) {
  for (const char* key : keys) {
    if (from.contains(key)) to[key] = from[key];
  }
}

/// As transformers 4 writes it, which its version 5 reads too; older versions take no other key beside type and factor.
Json rope_scaling(const JsonView& keys) {
  const char* nested = keys.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!keys.has(nested)) return nullptr;
  Json scaling = keys.json()[nested];
  const JsonView view(scaling, keys.source());
  const std::string type = view.text(view.has("rope_type") ? "rope_type" : "type", "default");
  if (type == "default") return nullptr;
  if (type == "linear" || type == "dynamic") return {{"type", type}, {"factor", view.number("factor", 1)}};
  scaling.erase("rope_theta");
  scaling.erase("type");
  scaling["rope_type"] = type;
  return scaling;
}

bool is_mistral(const JsonView& config) {
  const std::string type = decoder_part_of(config).text("model_type", "llama");
  return type == "mistral" || type == "llava_mistral";
}

Json decoder_config(const Model& model, const JsonView& config, int64_t rows) {
  const DecoderConfig& decoder = model.decoder.config;
  const JsonView keys = decoder_part_of(config);
  Json json;
  models::decoder_keys(decoder, KeyWriter(json));
  json["vocab_size"] = rows;
  json["rope_theta"] = decoder.rope.theta;
  json["rope_scaling"] = rope_scaling(keys);
  json["tie_word_embeddings"] = decoder.tied_embeddings;
  if (decoder.head_dim * decoder.heads == decoder.hidden) json.erase("head_dim");
  if (is_mistral(config)) json["sliding_window"] = decoder.window ? Json(*decoder.window) : Json(nullptr);
  copy_keys(keys.json(),
            {"bos_token_id", "eos_token_id", "pad_token_id", "initializer_range", "attention_dropout", "use_cache"},
            json);
  if (!json.contains("eos_token_id") && config.has("eos_token_id"))
    json["eos_token_id"] = config.json()["eos_token_id"];
  return json;
}

/// "torch_dtype", of version 5 "dtype".
void copy_dtype(const Json& from, Json& to) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (from.contains(key) && from[key].is_string()) to["torch_dtype"] = from[key];
  }
}

int64_t feature_layer(const VisionTowerConfig& tower) {
  return tower.layers_run - tower.layers - 1;
}

Json pinpoints(const Model& model, bool height_first) {
  Json list = Json::array();
  for (const image::Size& size : model.vision->preprocess.pinpoints) {
    list.push_back(height_first ? Json{size.height, size.width} : Json{size.width, size.height});
  }
  return list;
}

/// What a Hugging Face folder cannot say of LLaVA's own rules, and what the way back needs.
Json llava_conventions(const Model& model, const JsonView& config, const ImageMark& mark, bool tower_inside) {
  Json json = {{"of", "llava"},
               {"conversation", model.prompting.conversation},
               {"image_aspect_ratio", config.text("image_aspect_ratio", "square")}};
  for (const char* key : {"mm_patch_merge_type", "max_num_patches", "image_grid_pinpoints"}) {
    if (config.has(key)) json[key] = config.json()[key];
  }
  if (mark.rows > model.decoder.config.vocab) json["vocab_size"] = model.decoder.config.vocab;
  if (mark.added) json["added_image_token"] = mark.id;
  if (tower_inside) json["tower_inside"] = true;
  for (const auto& [key, value] : config.json().items()) {
    if (key.starts_with("mod_")) json["p_mod"][key] = value;
  }
  return json;
}

Json vision_keys(const Model& model) {
  const bool next = model.vision->newline.has_value();
  Json json = {{"mm_vision_tower", "vision_tower"},
               {"mm_hidden_size", model.vision->tower.config.width},
               {"mm_projector_type", "mlp2x_gelu"},
               {"mm_vision_select_layer", feature_layer(model.vision->tower.config)},
               {"mm_vision_select_feature", model.vision->tower.config.keep_class_token ? "cls_patch" : "patch"},
               {"mm_patch_merge_type", next ? "spatial_unpad" : "flat"},
               {"mm_use_im_start_end", false},
               {"mm_use_im_patch_token", false},
               {"use_mm_proj", true},
               {"tune_mm_mlp_adapter", false},
               {"freeze_mm_mlp_adapter", false}};
  const image::Aspect aspect = model.vision->preprocess.aspect;
  json["image_aspect_ratio"] = aspect == image::Aspect::anyres ? "anyres"
                               : aspect == image::Aspect::pad  ? "pad"
                                                               : "square";
  if (aspect == image::Aspect::anyres) json["image_grid_pinpoints"] = pinpoints(model, false);
  return json;
}

}  // namespace

bool follows_llava(const Model& model) {
  return model.prompting.dialect == text::Dialect::original;
}

Json tower_config(const VisionTowerConfig& tower) {
  Json json = {{"architectures", {"CLIPVisionModel"}}, {"model_type", "clip_vision_model"}};
  tower_keys(tower, KeyWriter(json));
  return json;
}

Json hf_config(const Model& model, const JsonView& config, const ImageMark& mark, bool tower_inside) {
  const bool next = model.vision->newline.has_value(), mistral = is_mistral(config);
  Json text = decoder_config(model, config, mark.rows);
  text["model_type"] = mistral ? "mistral" : "llama";
  text["architectures"] = Json::array({mistral ? "MistralForCausalLM" : "LlamaForCausalLM"});
  Json vision = tower_config(model.vision->tower.config);
  vision.erase("architectures");
  Json json = {{"architectures", {next ? "LlavaNextForConditionalGeneration" : "LlavaForConditionalGeneration"}},
               {"model_type", next ? "llava_next" : "llava"},
               {"ignore_index", -100},
               {"image_token_index", mark.id},
               {"image_seq_length", model.vision->tower.config.tokens()},
               {"projector_hidden_act", name_of(model.vision->projector.activation)},
               {"vision_feature_layer", feature_layer(model.vision->tower.config)},
               {"vision_feature_select_strategy", model.vision->tower.config.keep_class_token ? "full" : "default"},
               {"tie_word_embeddings", model.decoder.config.tied_embeddings}};
  copy_keys(text, {"pad_token_id"}, json);
  if (next) json["use_image_newline_parameter"] = true;
  if (next && !model.vision->preprocess.pinpoints.empty()) json["image_grid_pinpoints"] = pinpoints(model, true);
  copy_dtype(config.json(), json);
  copy_dtype(config.json(), text);
  copy_dtype(config.json(), vision);
  json["text_config"] = std::move(text);
  json["vision_config"] = std::move(vision);
  copy_keys(config.json(), {"eas", kFixedSites}, json);
  if (!model.prompting.conversation.empty() && !follows_llava(model))
    json["conversation"] = model.prompting.conversation;
  if (follows_llava(model)) json[kConventions] = llava_conventions(model, config, mark, tower_inside);
  return json;
}

Json original_config(const Model& model, const JsonView& config, const std::optional<Json>& p_mod) {
  const bool mistral = is_mistral(config);
  Json json = {{"architectures",
                {mistral ? "LlavaMistralForCausalLM"
                 : p_mod ? "PmodLlavaLlamaForCausalLM"
                         : "LlavaLlamaForCausalLM"}},
               {"model_type", mistral ? "llava_mistral"
                              : p_mod ? "pmod_llava_llama"
                                      : "llava_llama"}};
  json.update(decoder_config(model, config, model.decoder.config.vocab));
  copy_dtype(config.json(), json);
  if (config.has("text_config") && !json.contains("torch_dtype")) copy_dtype(config.object("text_config").json(), json);
  json.update(vision_keys(model));
  if (p_mod) json.update(*p_mod);
  json["mod_bias_enabled"] = model.decoder.config.router_bias;
  if (model.decoder.config.routers.empty()) json.erase("mod_bias_enabled");
  copy_keys(config.json(), {"eas", kFixedSites, "conversation"}, json);
  if (!model.prompting.conversation.empty()) json["conversation"] = model.prompting.conversation;
  if (!follows_llava(model)) {
    json[kConventions] = {{"of", "transformers"}};
    return json;
  }
  const JsonView own = config.object(kConventions);
  copy_keys(own.json(),
            {"conversation", "image_aspect_ratio", "mm_patch_merge_type", "max_num_patches", "image_grid_pinpoints"},
            json);
  if (own.boolean("tower_inside", false)) json["unfreeze_mm_vision_tower"] = true;
  return json;
}

Json processor_config(const Model& model, bool of_tower) {
  const image::PreprocessConfig& read = model.vision->preprocess;
  const bool next = model.vision->newline.has_value() && !of_tower;
  Json json = {{"do_resize", read.do_resize},
               {"do_center_crop", read.do_centre_crop},
               {"do_rescale", read.do_rescale},
               {"do_normalize", read.do_normalise},
               {"do_convert_rgb", true},
               {"resample", static_cast<int>(read.resample)},
               {"rescale_factor", read.rescale_factor},
               {"image_mean", read.mean},
               {"image_std", read.deviation},
               {"crop_size", {{"height", read.crop.height}, {"width", read.crop.width}}},
               {"image_processor_type", next ? "LlavaNextImageProcessor" : "CLIPImageProcessor"}};
  if (read.shortest_edge)
    json["size"] = {{"shortest_edge", *read.shortest_edge}};
  else if (read.exact_size.width > 0)
    json["size"] = {{"height", read.exact_size.height}, {"width", read.exact_size.width}};
  if (of_tower) return json;
  json["processor_class"] = next ? "LlavaNextProcessor" : "LlavaProcessor";
  if (next) {
    // LLaVA's tiles, whatever the tower's file says
    if (read.aspect == image::Aspect::anyres) json["resample"] = static_cast<int>(image::Resample::bicubic);
    if (!read.pinpoints.empty()) json["image_grid_pinpoints"] = pinpoints(model, true);
    json["do_pad"] = true;
  } else if (read.aspect == image::Aspect::pad) {
    json["image_processor_type"] = "LlavaImageProcessor";
    json["do_pad"] = true;
  }
  return json;
}

Json prompt_processor_config(const Model& model) {
  return {{"processor_class", model.vision->newline ? "LlavaNextProcessor" : "LlavaProcessor"},
          {"patch_size", model.vision->tower.config.patch_px},
          {"vision_feature_select_strategy", model.vision->tower.config.keep_class_token ? "full" : "default"},
          {"image_token", "<image>"},
          {"num_additional_image_tokens", 1}};
}

}  // namespace lithe::models
