#include "recipes/small_models.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "checkpoints/write/converting.h"
#include "io/atomic_file.h"
#include "io/safetensors.h"

namespace lithe::test {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLayers = 32;

const fs::path kGolden = LITHE_TEST_DATA "/golden";

using Tensors = std::vector<std::pair<std::string, io::TensorView>>;

/// Copies the tensors of a file. Layer i of the new one is layer i modulo `layers` of the old one.
void deepen(const fs::path& from, const fs::path& to, const std::string& prefix, int64_t layers) {
  const io::SafetensorsFile file = io::open_safetensors(from);
  Tensors tensors;
  for (const auto& [name, tensor] : file.tensors) {
    if (!name.starts_with(prefix)) {
      tensors.emplace_back(name, tensor);
      continue;
    }
    const size_t dot = name.find('.', prefix.size());
    const int64_t first = std::stoll(name.substr(prefix.size(), dot - prefix.size()));
    for (int64_t layer = first; layer < kLayers; layer += layers)
      tensors.emplace_back(prefix + std::to_string(layer) + name.substr(dot), tensor);
  }
  io::write_safetensors(to, tensors);
}

/// Copies a config with as many layers as the new model has.  -> how many it had
int64_t deepen_config(const fs::path& from, const fs::path& to, const char* key) {
  Json config = read_json_file(from);
  const auto layers = config.at(key).get<int64_t>();
  config[key] = kLayers;
  io::write_json_atomic(to, config);
  return layers;
}

}  // namespace

void make_small_llava(const fs::path& folder) {
  const fs::path golden = kGolden / "liuhaotian_llava15", base = golden / "checkpoint";
  fs::create_directories(folder);
  for (const fs::directory_entry& entry : fs::directory_iterator(base))
    if (entry.path().extension() != ".safetensors") fs::copy_file(entry.path(), folder / entry.path().filename());
  fs::copy(golden / "vision_tower", folder / "vision_tower", fs::copy_options::recursive);
  fs::remove(folder / "config.json");
  const int64_t layers = deepen_config(base / "config.json", folder / "config.json", "num_hidden_layers");
  deepen(base / "model.safetensors", folder / "model.safetensors", "model.layers.", layers);
}

void make_small_lavin(const fs::path& folder) {
  const fs::path golden = kGolden / "lavin/checkpoint", base = golden / "llama/7B", llama = folder / "llama/7B";
  fs::create_directories(llama);
  fs::copy_file(golden / "llama/tokenizer.model", folder / "llama/tokenizer.model");
  fs::copy(golden / "clip", folder / "clip", fs::copy_options::recursive);
  const int64_t layers = deepen_config(base / "params.json", llama / "params.json", "n_layers");
  deepen(base / "consolidated.00.safetensors", llama / "consolidated.00.safetensors", "layers.", layers);
}

void make_small_meter(const fs::path& folder) {
  constexpr std::array kTuned{"vqa_classifier.", "nlvr2_classifier.", "snli_classifier."};
  const fs::path published = folder.string() + "-published", converted = folder.string() + "-converted";
  fs::create_directories(published);
  fs::copy_file(kGolden / "meter/checkpoint/meter.ckpt", published / "meter.ckpt");
  fs::copy_file(LITHE_TEST_DATA "/meter/tokenizer.json", published / "tokenizer.json");
  models::convert_meter(published / "meter.ckpt", converted);
  fs::create_directories(folder);
  for (const char* name : {"config.json", "tokenizer.json"}) fs::copy_file(converted / name, folder / name);
  const io::SafetensorsFile file = io::open_safetensors(converted / "model.safetensors");
  Tensors tensors;
  for (const auto& [name, tensor] : file.tensors) {
    const bool tuned =
        std::any_of(kTuned.begin(), kTuned.end(), [&, &n = name](const char* head) { return n.starts_with(head); });
    if (!tuned) tensors.emplace_back(name, tensor);
  }
  io::write_safetensors(folder / "model.safetensors", tensors);
}

}  // namespace lithe::test
