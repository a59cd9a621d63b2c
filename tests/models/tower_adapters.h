#pragma once

#include <filesystem>
#include <string>

#include "models/peft_folder.h"

namespace lithe::test {

constexpr int64_t kTowerRank = 6;

/// EAS's adapter under `name` ("..encoder.layers.0.adapter_attn."), with random values; a PIA has a C.
inline void put_adapter(PeftFolder& made, const std::string& name, int64_t width, bool pia) {
  made.put(name + "conv_A.weight", {kTowerRank, width, 1}, 0.3);
  made.put(name + "conv_A.bias", {kTowerRank}, 0.3);
  if (pia) made.put(name + "conv_C.weight", {kTowerRank, width, 1}, 0.3);
  if (pia) made.put(name + "conv_C.bias", {kTowerRank}, 0.3);
  for (const char* up : {"conv_B", "conv_D"}) {
    made.put(name + up + ".weight", {width, kTowerRank / 2, 1}, 0.3);
    made.put(name + up + ".bias", {width}, 0.3);
  }
  made.put(name + "expert_weights.weight", {2, width}, 3);
  made.put(name + "expert_weights.bias", {2}, 3);
}

/// Gives a tower a RepAdapter in block 0 and a PIA in block 1, into the file of its checkpoint or of the whole model.
/// prefix: "model.vision_tower."
inline void put_tower_adapters(const std::filesystem::path& file, const std::string& prefix, int64_t width) {
  PeftFolder made;  // for its random tensors
  put_adapter(made, prefix + "encoder.layers.0.adapter_attn.", width, false);
  put_adapter(made, prefix + "encoder.layers.1.replaced_adapter.", width, true);
  made.add_to(file);
}

}  // namespace lithe::test
