#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "checkpoints/write/converting.h"
#include "models/tower_adapters.h"

// LLaVA-EAS of the golden data, whose layers 2, 4 and 5 have a PIA and whose others have an attention with a
// RepAdapter, made into folders that hold more or less.
namespace lithe::test {

constexpr int64_t kBothLayers = 6;

/// Every layer holds an attention, a RepAdapter and a PIA.
inline void write_both(const std::filesystem::path& folder) {
  const std::set<int64_t> replaced{2, 4, 5};
  constexpr int64_t kWidth = 40;
  models::convert_folder(std::filesystem::path(LITHE_TEST_DATA) / "golden/llava_eas/checkpoint", folder,
                         models::TargetLayout::same);
  PeftFolder made;  // for its random tensors
  for (int64_t layer = 0; layer < kBothLayers; ++layer) {
    const std::string name = "model.layers." + std::to_string(layer) + ".";
    put_adapter(made, name + (replaced.contains(layer) ? "adapter_attn." : "replaced_adapter."), kWidth,
                !replaced.contains(layer));
    if (!replaced.contains(layer)) continue;
    for (const char* product : {"q_proj", "k_proj", "v_proj", "o_proj"})
      made.put(name + "self_attn." + product + ".weight", {kWidth, kWidth}, 0.2);
  }
  made.add_to(folder / "model.safetensors");
}

/// Takes away every tensor of the layers whose name begins so after "model.layers.N.".
inline void drop(const std::filesystem::path& folder, const std::set<int64_t>& layers,
                 const std::vector<std::string>& beginnings) {
  const std::filesystem::path file = folder / "model.safetensors";
  std::map<std::string, io::TensorView> tensors = io::open_safetensors(file).tensors;
  std::erase_if(tensors, [&](const auto& entry) {
    for (const int64_t layer : layers) {
      for (const std::string& beginning : beginnings)
        if (entry.first.starts_with("model.layers." + std::to_string(layer) + "." + beginning)) return true;
    }
    return false;
  });
  std::filesystem::remove(file);
  io::write_safetensors(file, {tensors.begin(), tensors.end()});
}

/// A folder of write_both with one of both in each layer: a PIA in the layers that are `off`, else the attention.
inline void write_one_of_both(const std::filesystem::path& folder, const std::set<int64_t>& off) {
  write_both(folder);
  std::set<int64_t> on;
  for (int64_t layer = 0; layer < kBothLayers; ++layer)
    if (!off.contains(layer)) on.insert(layer);
  drop(folder, off, {"self_attn.", "adapter_attn."});
  drop(folder, on, {"replaced_adapter."});
}

}  // namespace lithe::test
