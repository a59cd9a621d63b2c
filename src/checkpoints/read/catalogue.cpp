#include "checkpoints/read/catalogue.h"

#include <set>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/config.h"
#include "checkpoints/read/conventions.h"
#include "checkpoints/read/family.h"
#include "checkpoints/read/gguf/files.h"
#include "checkpoints/read/gguf/model.h"
#include "checkpoints/read/lavin_folder.h"
#include "checkpoints/read/lora.h"
#include "checkpoints/read/meter.h"
#include "checkpoints/read/model_folder.h"
#include "checkpoints/read/quantised.h"
#include "io/hub_cache.h"
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
  for (const std::string& type : model_types()) text += (text.empty() ? "" : ", ") + type;
  return text;
}

/// What the folder is, as far as it is known, and what is supported.
[[noreturn]] void fail_for_type(const JsonView& config, const std::string& type) {
  require(!type.empty(), Fault::bad_file, config.source(), ": has no 'model_type'; supported are ", known_types());
  static const std::set<std::string> kLanguageModels{"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi3"};
  const bool only_text = kLanguageModels.contains(type);
  fail(Fault::bad_file, config.source(), ": the model_type ", in_quotes(type),
       only_text ? " is a language model without a vision tower" : " is not supported", "; supported are ",
       known_types());
}

}  // namespace

std::vector<std::string> model_types() {
  std::vector<std::string> types;
  for (const Family& family : families()) types.emplace_back(family.model_type);
  return types;
}

const std::vector<Family>& families() {
  static const std::vector<Family> kFamilies{
      {"llava", open_llava},
      {"llava_next", open_llava_hf},
      {"llava_onevision", open_llava_onevision},
      {"llava_llama", open_llava_original},
      {"llava_mistral", open_llava_original},
      {"pmod_llava_llama", open_llava_original},
      {"lavin", open_lavin},
  };
  return kFamilies;
}

namespace {

/// LLaVA infers some settings from the folder's name and place. If the adapter brings the config, its folder counts:
/// the base model may be a Vicuna that has seen no picture.
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
  const std::string type = source.config.text("model_type", "");
  for (const Family& family : families()) {
    if (type == family.model_type) return family.open(source);
  }
  fail_for_type(source.config, type);
}

/// Weights that do not fit a config that calls them quantised are just that.
std::unique_ptr<Model> open_weights(const Source& source) {
  try {
    return open_family(source);
  } catch (const Error& error) {
    const auto method = quantisation_in(source.config);
    if (error.fault() == Fault::bad_file && method) fail_quantised(source.config.source(), *method);
    throw;
  }
}

void require_config(const fs::path& folder) {
  require(fs::exists(folder / "config.json"), Fault::bad_file, folder.string(),
          ": has no config.json; give the folder that holds a model's config and weights");
}

/// A folder without config.json that holds the parts of LaVIN as they are published.
std::unique_ptr<Model> open_parts(const fs::path& folder, const LoadOptions& options) {
  const Json none = Json::object();
  auto model = open_lavin({folder, JsonView(none, folder.string()), options});
  model->config_file = folder / "config.json";
  return model;
}

}  // namespace

std::unique_ptr<Model> open_model(const fs::path& folder, const LoadOptions& options) {
  fs::path base = model_folder(folder.string());
  require(!is_meter(base), Fault::bad_request, base.string(),
          ": is a METER model, which scores labels and does not generate; run, batch, eval, tune, inspect, convert "
          "and fold take it");
  LoadOptions chosen = options;
  if (!options.lora.empty()) {
    chosen.lora = adapter_folder(options.lora.string());
    require_lora_folder(chosen.lora);
    require(!is_lora_folder(base), Fault::bad_request, base.string(),
            ": is a PEFT folder itself; fold it, then put the other over the folded model");
  } else if (is_lora_folder(base)) {
    chosen.lora = base;
    base = base_of_lora(base);
    require(!is_lora_folder(base), Fault::bad_file, chosen.lora.string(), ": its base model ", base.string(),
            " is a PEFT folder itself; fold that first");
  }
  if (is_gguf_model(base)) return open_gguf(base, chosen);
  require(options.mmproj.empty(), Fault::bad_request, base.string(),
          ": is not a GGUF model, and an mmproj belongs to one; leave it out, as this model has its own vision tower");
  const bool own_config = !chosen.lora.empty() && fs::exists(chosen.lora / "config.json");
  if (!own_config && LavinFolder::holds_parts(base)) return open_parts(base, chosen);
  if (!own_config) require_config(base);
  const fs::path config_file = (own_config ? chosen.lora : base) / "config.json";
  Json json = read_config_file(config_file);
  if (own_config) complete_lora_config(json, chosen.lora, config_file.string());
  auto model = open_weights({base, JsonView(json, config_file.string()), chosen});
  model->config_file = config_file;
  if (own_config) model->name = model->facts.name = io::name_of_folder(chosen.lora);
  return model;
}

}  // namespace lithe::models
