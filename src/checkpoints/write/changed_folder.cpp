#include "checkpoints/write/changed_folder.h"

#include <utility>

#include "checkpoints/read/lavin_folder.h"
#include "checkpoints/read/packed_weights.h"
#include "io/atomic_file.h"
#include "io/hub_cache.h"
#include "io/new_folder.h"

namespace lithe::models {

namespace fs = std::filesystem;

void list_changed(const Model& model, const io::Checkpoint& checkpoint, const ChangedWeights& changes,
                  WeightFile& file) {
  std::map<std::string, WeightName> read;  // by name in the file
  for (const auto& [weight, origin] : model.loaded.origins) {
    if (origin.checkpoint == checkpoint.path()) read[origin.in_file] = weight;
  }
  for (const std::string& in_file : checkpoint.names()) {
    auto found = read.find(in_file);
    if (found == read.end()) found = read.find(plain_name_of_part(in_file).value_or(in_file));  // of codes
    const WeightName* const weight = found == read.end() ? nullptr : &found->second;
    const std::optional<std::string> name = changes.name(in_file, weight);
    if (!name || (weight && changes.drops(*weight))) continue;
    const io::TensorView& view = checkpoint.at(in_file);
    const auto made = weight ? changes.made.find(*weight) : changes.made.end();
    if (made == changes.made.end())
      file.copy(*name, view);
    else
      file.make(*name, {made->second.type, view.shape, made->second.make});
  }
}

io::Checkpoint own_checkpoint(const Model& model) {
  return model.family == "lavin" ? LavinFolder::open(model.folder).checkpoint() : io::Checkpoint::open(model.folder);
}

void copy_files(const Model& model, const fs::path& folder, const std::set<std::string>& made) {
  io::copy_others(model.folder, folder, made);
  const fs::path tokenizer = model.family == "lavin" ? LavinFolder::open(model.folder).tokenizer() : fs::path();
  if (tokenizer.empty()) return;
  for (const char* name :
       {"tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}) {
    if (fs::exists(tokenizer / name) && !fs::exists(folder / name)) io::copy_file(tokenizer / name, folder / name);
  }
}

Json pinned_config(const Model& model) {
  if (model.family == "lavin") {
    Json config = LavinFolder::open(model.folder, model.config_file).config();
    config["gates_read_prompt"] = gates_read_prompt(model);
    return config;
  }
  Json config = read_config_file(model.config_file);
  if (!model.prompting.conversation.empty()) config["conversation"] = model.prompting.conversation;
  if (!model.tower_folder.empty()) config["mm_vision_tower"] = io::name_of_folder(model.tower_folder);
  return config;
}

double write_tower_folder(const Model& model, const WeightFile& file, const fs::path& out) {
  io::make_folder(out);
  if (file.makes_any()) {
    io::copy_others(model.tower_folder, out, {});
    return file.write(out / "model.safetensors");
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(model.tower_folder)) {
    const fs::path name = entry.path().filename();
    if (name.string().starts_with('.')) continue;  // what a version control or a download left
    fs::copy(entry.path(), out / name, fs::copy_options::recursive | fs::copy_options::skip_existing);
  }
  return 0;
}

}  // namespace lithe::models
