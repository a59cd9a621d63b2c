#include "base/error.h"
#include "models/config.h"
#include "models/conventions.h"
#include "models/family.h"
#include "models/lora.h"
#include "text/conversation.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

/// Both layouts call themselves "llava"; only transformers' nests its parts.
std::unique_ptr<Model> open_llava(const Source& source) {
  const bool original = source.config.has("mm_vision_tower") || source.config.has("mm_hidden_size");
  return original ? open_llava_original(source) : open_llava_hf(source);
}

std::string known_types() {
  std::string text;
  for (const Family& family : families()) text += (text.empty() ? "" : ", ") + std::string(family.model_type);
  return text;
}

}  // namespace

const std::vector<Family>& families() {
  static const std::vector<Family> kFamilies{
      {"llava", open_llava},
      {"llava_next", open_llava_hf},
      {"llava_llama", open_llava_original},
      {"llava_mistral", open_llava_original},
      {"pmod_llava_llama", open_llava_original},
  };
  return kFamilies;
}

namespace {

/// What LLaVA follows from the folder's name and place goes by the adapter's where it brings the config: the base model
/// may be a Vicuna that has seen no picture.
void complete_lora_config(Json& config, const fs::path& lora, const std::string& source) {
  const JsonView view(config, source);
  if (!view.has("conversation")) {
    if (const auto named = text::conversation_for(hints_of(lora, view))) config["conversation"] = *named;
  }
  if (!view.has("mm_vision_tower")) return;
  const fs::path tower = named_folder(lora, view.text("mm_vision_tower"));
  if (!tower.empty()) config["mm_vision_tower"] = tower.string();
}

std::unique_ptr<Model> open_family(const Source& source) {
  const std::string type = source.config.text("model_type");
  for (const Family& family : families()) {
    if (type == family.model_type) return family.open(source);
  }
  fail(Fault::bad_file, source.config.source(), ": the model_type '", type, "' is not known; known are ",
       known_types());
}

/// The folder without a closing slash.
fs::path plain_folder(const fs::path& folder, const char* what) {
  std::error_code code;
  require(fs::is_directory(folder, code), Fault::bad_file, folder.string(), ": is not a folder; give ", what);
  const fs::path path = fs::absolute(folder).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

}  // namespace

std::unique_ptr<Model> open_model(const fs::path& folder, const LoadOptions& options) {
  fs::path base = plain_folder(folder, "a model's folder");
  LoadOptions chosen = options;
  if (!options.lora.empty()) {
    chosen.lora = plain_folder(options.lora, "a PEFT folder");
    require(is_lora_folder(chosen.lora), Fault::bad_file, chosen.lora.string(),
            ": is no PEFT folder, which holds adapter_config.json and adapter_model.safetensors or .bin");
    require(!is_lora_folder(base), Fault::bad_request, base.string(),
            ": is a PEFT folder itself; fold it, then put the other over the folded model");
  } else if (is_lora_folder(base)) {
    chosen.lora = base;
    base = base_of_lora(base);
    require(!is_lora_folder(base), Fault::bad_file, chosen.lora.string(), ": its base model ", base.string(),
            " is a PEFT folder itself; fold that first");
  }
  const bool own_config = !chosen.lora.empty() && fs::exists(chosen.lora / "config.json");
  const fs::path config_file = (own_config ? chosen.lora : base) / "config.json";
  Json json = read_json_file(config_file, 16 << 20);
  if (own_config) complete_lora_config(json, chosen.lora, config_file.string());
  auto model = open_family({base, JsonView(json, config_file.string()), chosen});
  model->config_file = config_file;
  if (own_config) model->name = model->facts.name = chosen.lora.filename().string();
  return model;
}

}  // namespace lithe::models
