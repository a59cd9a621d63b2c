#pragma once

#include <cstdint>
#include <string>

#include "models/peft_folder.h"

namespace lithe::test {

/// LoRA with random factors over every product of the shipped models' decoders.
inline PeftFolder lora_of_decoder(uint32_t seed, int64_t rank = 4) {
  PeftFolder folder(rank, 5.0 * static_cast<double>(rank), seed);
  for (int layer = 0; layer < 12; ++layer) folder.add_layer("model.layers." + std::to_string(layer) + ".", 160, 432);
  return folder;
}

/// The same over some products of the decoder, the head, the projector and the tower, as PEFT names them, the tower's
/// last layer included, which does not run.
inline PeftFolder lora_of_all_parts(uint32_t seed, int64_t rank = 2) {
  PeftFolder folder(rank, 5.0 * static_cast<double>(rank), seed);
  folder.config["use_rslora"] = true;
  for (int layer = 0; layer < 12; ++layer) {
    const std::string attention = "model.layers." + std::to_string(layer) + ".self_attn.";
    folder.add(attention + "q_proj", 160, 160);
    folder.add(attention + "v_proj", 160, 160);
  }
  folder.add("lm_head", 512, 160);
  folder.add("model.mm_projector.0", 160, 128);
  folder.add("model.mm_projector.2", 160, 160);
  for (int layer = 0; layer < 5; ++layer) {
    const std::string block = "model.vision_tower.vision_tower.vision_model.encoder.layers." + std::to_string(layer);
    folder.add(block + ".self_attn.v_proj", 128, 128);
    folder.add(block + ".mlp.fc1", 512, 128);
  }
  return folder;
}

}  // namespace lithe::test
