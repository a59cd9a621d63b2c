#include "models/known_towers.h"

namespace lithe::models {
namespace {

constexpr KnownTower kTowers[] = {
    {"clip-vit-large-patch14-336",
     R"({"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
         "num_attention_heads": 16, "image_size": 336, "patch_size": 14})",
     R"({"crop_size": 336, "size": 336, "do_center_crop": true, "do_normalize": true, "do_resize": true, "resample": 3,
         "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]})"},
    {"clip-vit-large-patch14",
     R"({"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
         "num_attention_heads": 16, "image_size": 224, "patch_size": 14})",
     R"({"crop_size": 224, "size": 224, "do_center_crop": true, "do_normalize": true, "do_resize": true, "resample": 3,
         "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]})"},
};

}  // namespace

const KnownTower* known_tower(const std::string& name) {
  for (const KnownTower& tower : kTowers) {
    if (name == tower.name) return &tower;
  }
  return nullptr;
}

}  // namespace lithe::models
