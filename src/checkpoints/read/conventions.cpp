#include "checkpoints/read/conventions.h"

#include <charconv>

#include "base/error.h"
#include "checkpoints/read/config.h"
#include "io/hub_cache.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

void read_packing(const JsonView& config, Vision& vision) {
  const std::string type = config.text("mm_patch_merge_type", "flat");
  if (type == "flat") return;
  require(type == "spatial" || type == "spatial_unpad", Fault::bad_file, config.source(),
          ": 'mm_patch_merge_type' is '", type, "'; known are flat, spatial and spatial_unpad");
  vision.packing.order = type == "spatial" ? Packing::Order::spatial : Packing::Order::spatial_unpad;
  if (type == "spatial") return;
  vision.newline = Tensor();
  constexpr double kShrinkOfAnyresMax = 1.1;  // LLaVA-NeXT; p-MoD's own key has 1.01
  vision.packing.max_patches = most_patches(config, "image_aspect_ratio");
  if (vision.packing.max_patches)
    vision.packing.shrink_above = kShrinkOfAnyresMax;
  else if (config.has("max_num_patches"))
    vision.packing.max_patches = size_in(config, "max_num_patches", 1, 4096);
}

std::string assumption(const std::string& conversation, const std::string& source) {
  return concat(source,
                ": neither a key nor the folder's name nor a chat template says which conversation the model "
                "was trained with, so ",
                conversation,
                " is assumed; if that is wrong, set \"conversation\" there, for "
                "example to llava_llama_3, mistral_instruct or qwen_1_5");
}

}  // namespace

std::optional<JsonView> read_conventions(const JsonView& config, const char* other) {
  if (!config.has(kConventions)) return std::nullopt;
  JsonView conventions = config.object(kConventions);
  require(conventions.text("of") == other, Fault::bad_file, conventions.source(), ": 'of' is '", conventions.text("of"),
          "', in this layout it can only be '", other, "'");
  return conventions;
}

text::ConversationHints hints_of(const fs::path& folder, const JsonView& config) {
  std::string name = io::name_of_folder(folder);
  if (name.starts_with("checkpoint-")) name = concat(folder.parent_path().filename().string(), "_", name);
  return {.folder = name,
          .model_type = config.text("model_type", ""),
          .base = fs::path(config.text("_name_or_path", "")).filename().string()};
}

ConversationChoice choose_conversation(const fs::path& folder, const fs::path& files, const JsonView& config) {
  if (config.has("conversation")) return {config.text("conversation")};
  if (const auto named = text::conversation_for(hints_of(folder, config))) return {*named};
  if (text::ChatTemplate::open(files)) return {kOwnTemplate};
  return {.name = "vicuna_v1", .assumed = true};
}

void follow_conversation(const ConversationChoice& choice, const std::string& source, Model& model) {
  model.prompting.conversation = choice.name;
  if (choice.assumed) model.notes.push_back(assumption(choice.name, source));
  if (choice.name == kOwnTemplate) {
    model.prompting.chat_template = text::ChatTemplate::open(model.folder);
    require(model.prompting.chat_template.has_value(), Fault::bad_file, source, ": 'conversation' is '", kOwnTemplate,
            "', but the folder has no chat template; copy the one of its tokenizer there");
    return;
  }
  try {
    model.prompting.stop_strings = {text::conversation_stop(choice.name)};
  } catch (const Error& error) {
    fail(Fault::bad_file, source, ": 'conversation': ", error.what());
  }
}

void follow_llava(const JsonView& keys, Model& model) {
  Json aspect = keys.json();
  if (keys.text("image_aspect_ratio", "").starts_with("anyres_max_")) aspect["image_aspect_ratio"] = "anyres";
  Vision& vision = *model.vision;
  vision.preprocess.dialect = image::Dialect::original;
  vision.preprocess.alpha = image::Alpha::drop;
  vision.preprocess.take_model_config(JsonView(aspect, keys.source()));
  read_packing(keys, vision);
  model.prompting.dialect = text::Dialect::original;
}

std::optional<int64_t> most_patches(const JsonView& config, const char* key, const std::string& fallback) {
  constexpr std::string_view kPrefix = "anyres_max_";
  const std::string aspect = config.text(key, fallback);
  if (!aspect.starts_with(kPrefix)) return std::nullopt;
  int64_t most = 0;
  const char* end = aspect.data() + aspect.size();
  const auto [stop, code] = std::from_chars(aspect.data() + kPrefix.size(), end, most);
  require(code == std::errc() && stop == end && most >= 1 && most <= 4096, Fault::bad_file, config.source(), ": '", key,
          "' is '", aspect, "', expected anyres_max_N with N from 1 to 4096");
  return most;
}

image::PreprocessConfig read_processor(const fs::path& folder, Json defaults) {
  const std::optional<ImageProcessorFile> found = find_image_processor(folder);
  require(found.has_value(), Fault::bad_file, folder.string(),
          ": preprocessor_config.json is missing; it comes with the published "
          "model");
  const JsonView settings(found->settings, found->file);
  for (const auto& [key, value] : settings.json().items()) {
    if (!value.is_null()) defaults[key] = value;
  }
  return image::PreprocessConfig::from_json(JsonView(defaults, found->file), image::Dialect::transformers);
}

void pack_like_next(Vision& vision) {
  vision.newline = Tensor();
  vision.packing = {.order = Packing::Order::spatial_unpad, .rounds = true};
}

void follow_template(const JsonView& config, Model& model) {
  model.prompting.dialect = text::Dialect::hf;
  model.prompting.chat_template = text::ChatTemplate::open(model.folder);
  if (!model.prompting.chat_template)
    follow_conversation(choose_conversation(model.folder, model.folder, config), config.source(), model);
}

std::optional<ImageProcessorFile> find_image_processor(const fs::path& folder) {
  const fs::path processor = folder / "processor_config.json", own = folder / "preprocessor_config.json";
  if (fs::exists(processor)) {
    const Json json = read_json_file(processor, 1 << 20);
    const JsonView view(json, processor.string());
    if (view.has("image_processor")) {
      const JsonView nested = view.object("image_processor");
      return ImageProcessorFile{nested.source(), nested.json()};
    }
  }
  if (fs::exists(own)) return ImageProcessorFile{own.string(), read_json_file(own, 1 << 20)};
  return std::nullopt;
}

}  // namespace lithe::models
