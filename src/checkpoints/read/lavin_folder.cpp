#include "checkpoints/read/lavin_folder.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "checkpoints/read/layouts.h"
#include "checkpoints/read/meta_llama.h"
#include "checkpoints/read/openai_clip.h"
#include "checkpoints/read/tied_head.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;
using io::TensorView;

bool is_folder(const fs::path& path) {
  std::error_code code;
  return fs::is_directory(path, code);
}

/// What lies in a folder, by name; nothing if it cannot be read, as that says nothing about this model.
std::vector<fs::path> paths_in(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    if (!entry->path().filename().string().starts_with(".")) paths.push_back(entry->path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// The folder itself, then the folders in it, then those in them, by name.
std::vector<fs::path> folders_below(const fs::path& folder) {
  constexpr size_t kMost = 256;
  std::vector<fs::path> all{folder};
  for (size_t next = 0, level_end = 1, level = 0; level < 2; ++level, level_end = all.size()) {
    for (; next < level_end; ++next) {
      const fs::path parent = all[next];
      for (const fs::path& path : paths_in(parent)) {
        if (is_folder(path) && all.size() < kMost) all.push_back(path);
      }
    }
  }
  return all;
}

/// Of config.json; empty if there is none, or none that can be read, which says nothing about this model.
std::string model_type_in(const fs::path& folder) {
  if (!is_there(folder / "config.json")) return {};
  try {
    const Json json = read_config_file(folder / "config.json");
    return JsonView(json, folder.string()).text("model_type", "");
  } catch (const Error&) {
    return {};
  }
}

/// The only one of some paths. Throws Error{bad_file} if there are more; `key` of config.json could say which.
fs::path only_one(const std::vector<fs::path>& found, const fs::path& folder, const char* what, const char* key) {
  if (found.empty()) return {};
  require(found.size() == 1, Fault::bad_file, folder.string(), ": ", what, " could be ", found[0].string(), " or ",
          found.size() > 1 ? found[1].string() : "", "; say in config.json which, as \"", key, "\"");
  return found.front();
}

fs::path find_llama(const fs::path& folder, const std::vector<fs::path>& places) {
  std::vector<fs::path> found;
  for (const fs::path& place : places) {
    if (MetaLlama::holds(place) || (place != folder && model_type_in(place) == "llama")) found.push_back(place);
  }
  return only_one(found, folder, "LLaMA", "llama");
}

/// Beside LLaMA's weights, above them, or in the folder itself.
fs::path find_tokenizer(const fs::path& folder, const fs::path& llama) {
  for (const fs::path& place : {llama, llama.parent_path(), folder}) {
    if (is_there(place / "tokenizer.model") || is_there(place / "tokenizer.json")) return place;
  }
  return {};
}

/// Files of a kind whose names differ only in their ending: .safetensors goes before others.
void keep_one_of_each(std::vector<fs::path>& files) {
  std::map<fs::path, fs::path> best;
  for (const fs::path& file : files) {
    fs::path stem = file;
    fs::path& one = best[stem.replace_extension()];
    if (one.empty() || file.extension() == ".safetensors") one = file;
  }
  files.clear();
  for (const auto& [stem, file] : best) files.push_back(file);
}

bool is_weight_file(const fs::path& file) {
  const fs::path ending = file.extension();
  return ending == ".pth" || ending == ".pt" || ending == ".safetensors" || ending == ".bin";
}

/// The vision towers in one folder: itself, unless it is the model's, and the files in it.
std::vector<fs::path> clips_in(const fs::path& place, const fs::path& model) {
  std::vector<fs::path> found;
  const std::string type = place == model ? "" : model_type_in(place);
  if (type == "clip" || type == "clip_vision_model") found.push_back(place);
  for (const fs::path& path : paths_in(place)) {
    if (path.filename().string().starts_with("ViT-") && is_weight_file(path)) found.push_back(path);
  }
  return found;
}

fs::path find_clip(const fs::path& folder, const std::vector<fs::path>& places) {
  std::vector<fs::path> found;
  for (const fs::path& place : places) {
    const std::vector<fs::path> some = clips_in(place, folder);
    found.insert(found.end(), some.begin(), some.end());
  }
  keep_one_of_each(found);
  return only_one(found, folder, "the vision tower", "clip");
}

/// "checkpoint-19.pth" -> 19; -1 for other names.
int64_t epoch_of(const fs::path& file) {
  constexpr std::string_view kStem = "checkpoint-";
  const std::string stem = file.stem().string();
  int64_t epoch = -1;
  if (!stem.starts_with(kStem)) return -1;
  const auto [end, code] = std::from_chars(stem.data() + kStem.size(), stem.data() + stem.size(), epoch);
  return code == std::errc() && end == stem.data() + stem.size() ? epoch : -1;
}

/// checkpoint-N of the last epoch in the folder or in its folder `adapter`; else the only file of weights there.
fs::path find_adapter(const fs::path& folder) {
  std::vector<fs::path> files, others;
  for (const fs::path& place : {folder, folder / "adapter"}) {
    for (const fs::path& path : paths_in(place)) {
      if (is_folder(path) || !is_weight_file(path)) continue;
      if (epoch_of(path) >= 0) files.push_back(path);
      if (place != folder) others.push_back(path);
    }
  }
  if (files.empty()) {
    keep_one_of_each(others);
    return only_one(others, folder, "the adapter", "adapter");
  }
  const auto by_epoch = [](const fs::path& a, const fs::path& b) { return epoch_of(a) < epoch_of(b); };
  const int64_t last = epoch_of(*std::max_element(files.begin(), files.end(), by_epoch));
  std::erase_if(files, [&](const fs::path& file) { return epoch_of(file) != last; });
  keep_one_of_each(files);
  return only_one(files, folder, "the adapter", "adapter");
}

/// What a key of config.json names, from the folder on; empty if there is no such key.
fs::path named(const JsonView& own, const fs::path& folder, const char* key) {
  const std::string name = own.text(key, "");
  if (name.empty()) return {};
  const fs::path path = folder / name;
  require(is_there(path), Fault::bad_file, own.source(), ": '", key, "' names ", in_quotes(name),
          ", which is not there");
  return path;
}

LavinParts find_parts(const fs::path& folder, const JsonView& own) {
  LavinParts parts{named(own, folder, "llama"), named(own, folder, "tokenizer"), named(own, folder, "clip"),
                   named(own, folder, "adapter")};
  const std::vector<fs::path> places = folders_below(folder);
  if (parts.llama.empty()) parts.llama = find_llama(folder, places);
  require(!parts.llama.empty(), Fault::bad_file, folder.string(),
          ": LLaMA is missing; put a folder with params.json and consolidated.00.pth into it, or say in config.json "
          "where that is, as \"llama\"");
  if (parts.clip.empty()) parts.clip = find_clip(folder, places);
  require(!parts.clip.empty(), Fault::bad_file, folder.string(),
          ": the vision tower is missing; put OpenAI's ViT-L-14.pt into it, or say in config.json where that is, as "
          "\"clip\"");
  if (parts.tokenizer.empty()) parts.tokenizer = find_tokenizer(folder, parts.llama);
  if (!is_folder(parts.tokenizer)) parts.tokenizer = parts.tokenizer.parent_path();
  if (parts.adapter.empty()) parts.adapter = find_adapter(folder);
  return parts;
}

// Names.

void put_renamed(const io::Checkpoint& from, const std::string& old_prefix, const std::string& prefix,
                 std::map<std::string, TensorView>& out) {
  for (const std::string& name : from.names()) {
    if (name.starts_with(old_prefix)) out.insert_or_assign(prefix + name.substr(old_prefix.size()), from.at(name));
  }
}

/// LLaMA of transformers: "model.layers..", or without "model." as LlamaModel is saved, which has no head. Throws
/// Error{bad_file} if the head is missing and the embeddings do not serve as one.
void put_llama(const fs::path& folder, const Layout& layout, std::map<std::string, TensorView>& out) {
  if (MetaLlama::holds(folder)) return MetaLlama(folder).put(layout.decoder, layout.head, out);
  const io::Checkpoint checkpoint = io::Checkpoint::open(folder);
  const std::vector<std::string> names = checkpoint.names();
  const bool prefixed =
      std::any_of(names.begin(), names.end(), [](const auto& name) { return name.starts_with("model."); });
  put_renamed(checkpoint, prefixed ? "model." : "", layout.decoder, out);
  if (!prefixed) out.erase(layout.decoder + "lm_head.weight");
  if (const TensorView* head = checkpoint.find("lm_head.weight")) {
    out.insert_or_assign(layout.head + "lm_head.weight", *head);
    return;
  }
  const Json config = read_config_file(folder / "config.json");
  require(asks_for_tied_head(JsonView(config, (folder / "config.json").string())), Fault::bad_file, folder.string(),
          ": LLaMA has no lm_head.weight, as if it was saved from LlamaModel; save it from LlamaForCausalLM, or write ",
          "\"tie_word_embeddings\": true into its config.json if its embeddings are its head");
}

void put_clip(const fs::path& path, const Layout& layout, std::map<std::string, TensorView>& out) {
  const io::Checkpoint checkpoint = io::Checkpoint::open(path);
  if (is_openai_clip(checkpoint)) return put_openai_clip(checkpoint, layout.tower, out);
  put_renamed(checkpoint, own_tower_prefix(checkpoint), layout.tower, out);
}

/// A name of a published adapter file, without "module.", as a whole folder has it; others stay.
std::string adapter_name(std::string name, const Layout& layout) {
  const auto swap = [&](const std::string& from, const std::string& to) {
    if (!name.starts_with(from)) return false;
    name = to + name.substr(from.size());
    return true;
  };
  swap("module.", "");
  const std::pair<std::string, std::string> kRenamed[] = {
      {"layers.", layout.decoder + "layers."},
      {"backbone.visual.transformer.resblocks.", layout.tower + "encoder.layers."},
      {"adapter_proj.conv_A.", layout.projector + "linear_1."},
      {"adapter_proj.conv_B.", layout.projector + "linear_2."},
      {"adapter_modality_embedding.", layout.decoder + "modality_embedding."}};
  for (const auto& [from, to] : kRenamed) {
    if (swap(from, to)) break;
  }
  return name;
}

Json clip_config(const fs::path& path) {
  if (!is_folder(path)) return openai_clip_config(io::Checkpoint::open(path));
  const Json config = read_config_file(path / "config.json");
  return config.contains("vision_config") ? config.at("vision_config") : config;
}

}  // namespace

bool LavinFolder::holds_parts(const fs::path& folder) {
  if (is_there(folder / "config.json") || !is_folder(folder)) return false;
  const std::vector<fs::path> places = folders_below(folder);
  const auto any = [&](const auto& holds) { return std::any_of(places.begin(), places.end(), holds); };
  if (any([](const fs::path& place) { return MetaLlama::holds(place); })) return true;
  const bool llama = any([](const fs::path& place) { return model_type_in(place) == "llama"; });
  return llama && any([&](const fs::path& place) { return !clips_in(place, folder).empty(); });
}

bool LavinFolder::is(const fs::path& folder) {
  return holds_parts(folder) || model_type_in(folder) == "lavin";
}

LavinFolder::LavinFolder(const fs::path& folder, Json own) : folder_(folder), own_(std::move(own)) {
  if (!own_.contains("text_config")) parts_ = find_parts(folder, JsonView(own_, (folder / "config.json").string()));
}

LavinFolder LavinFolder::open(const fs::path& folder) {
  return open(folder, folder / "config.json");
}

LavinFolder LavinFolder::open(const fs::path& folder, const fs::path& config) {
  return {folder, is_there(config) ? read_config_file(config) : Json::object()};
}

Json LavinFolder::config() const {
  if (!parts_) return own_;
  Json config = own_;
  for (const char* key : {"llama", "tokenizer", "clip", "adapter"}) config.erase(key);
  config["model_type"] = "lavin";
  const bool meta = MetaLlama::holds(parts_->llama);
  config["text_config"] = meta ? MetaLlama(parts_->llama).config() : read_config_file(parts_->llama / "config.json");
  Json tower = clip_config(parts_->clip);
  require(tower.is_object(), Fault::bad_file, parts_->clip.string(), ": its config.json does not describe a tower");
  if (own_.contains("vision_config")) {
    const Json& changes = own_.at("vision_config");
    require(changes.is_object(), Fault::bad_file, (folder_ / "config.json").string(),
            ": 'vision_config' is not an object with keys");
    tower.update(changes);
  }
  config["vision_config"] = std::move(tower);
  return config;
}

io::Checkpoint LavinFolder::checkpoint() const {
  if (!parts_) return io::Checkpoint::open(folder_);
  const Layout layout = llava_hf_layout(nullptr);
  std::map<std::string, TensorView> tensors;
  put_llama(parts_->llama, layout, tensors);
  put_clip(parts_->clip, layout, tensors);
  if (parts_->adapter.empty()) return io::Checkpoint::of(folder_, std::move(tensors));
  const io::Checkpoint adapter = io::Checkpoint::open(parts_->adapter);
  for (const std::string& name : adapter.names())
    tensors.insert_or_assign(adapter_name(name, layout), adapter.at(name));
  return io::Checkpoint::of(folder_, std::move(tensors));
}

}  // namespace lithe::models
