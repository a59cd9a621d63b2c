#include "models/conventions.h"

#include <charconv>

#include "base/error.h"
#include "models/config.h"
#include "text/conversation.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

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

image::PreprocessConfig read_processor(const fs::path& folder) {
  for (const char* name : {"preprocessor_config.json", "processor_config.json"}) {
    if (!fs::exists(folder / name)) continue;
    const Json json = read_json_file(folder / name, 1 << 20);
    return image::PreprocessConfig::from_json(JsonView(json, (folder / name).string()), image::Dialect::transformers);
  }
  fail(Fault::bad_file, folder.string(), ": preprocessor_config.json is missing; it comes with the published model");
}

void speak(const std::string& conversation, Model& model) {
  model.prompt.conversation = conversation;
  model.prompt.stop_strings = {text::conversation_stop(conversation)};
}

}  // namespace

std::optional<JsonView> read_conventions(const JsonView& config, const char* other) {
  if (!config.has(kConventions)) return std::nullopt;
  JsonView conventions = config.object(kConventions);
  require(conventions.text("of") == other, Fault::bad_file, conventions.source(), ": 'of' is '", conventions.text("of"),
          "', in this layout it can only be '", other, "'");
  return conventions;
}

void follow_llava(const JsonView& keys, const std::string& conversation, Model& model) {
  Json aspect = keys.json();
  if (keys.text("image_aspect_ratio", "").starts_with("anyres_max_")) aspect["image_aspect_ratio"] = "anyres";
  model.preprocess.dialect = image::Dialect::original;
  model.preprocess.alpha = image::Alpha::drop;
  model.preprocess.take_model_config(JsonView(aspect, keys.source()));
  read_packing(keys, model);
  model.prompt.dialect = text::Dialect::original;
  speak(conversation, model);
}

void follow_transformers(const JsonView& config, bool next, Model& model) {
  model.preprocess = read_processor(model.folder);
  if (next) {
    model.image_newline = Tensor();
    model.packing = {.order = Packing::Order::spatial_unpad, .rounds = true};
  }
  model.prompt.dialect = text::Dialect::hf;
  model.prompt.chat_template = text::ChatTemplate::open(model.folder);
  if (!model.prompt.chat_template) speak(config.text("conversation", text::conversation_for(model.name, "")), model);
}

}  // namespace lithe::models
