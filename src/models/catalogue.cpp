#include "base/error.h"
#include "models/family.h"

namespace lithe::models {
namespace {

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

std::unique_ptr<Model> open_model(const std::filesystem::path& folder, const LoadOptions& options) {
  std::error_code code;
  require(std::filesystem::is_directory(folder, code), Fault::bad_file, folder.string(),
          ": is not a folder; give a model's folder");
  std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // a closing slash
  const Json json = read_json_file(path / "config.json", 16 << 20);
  const Source source{path, JsonView(json, (path / "config.json").string()), options};
  const std::string type = source.config.text("model_type");
  for (const Family& family : families()) {
    if (type == family.model_type) return family.open(source);
  }
  fail(Fault::bad_file, source.config.source(), ": the model_type '", type, "' is not known; known are ",
       known_types());
}

}  // namespace lithe::models
