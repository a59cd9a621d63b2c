#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "io/checkpoint.h"
#include "models/parts/weight_name.h"

namespace lithe::models {

/// Where a checkpoint keeps each part: what precedes its weights' names as text_of spells them. Readers take weights by
/// this table; `convert` renames by two of them, from one to slots and from slots to the other.
struct Layout {
  enum class ProjectorNames {
    linear_n,    ///< "linear_1.weight", "linear_2.weight"
    sequential,  ///< nn.Sequential, which counts the activations: "0.weight", "2.weight"
    single,      ///< One Linear: "weight"
  };
  std::string decoder;  ///< Before "layers.0..", "norm.weight", "embed_tokens.weight".
  std::string head;     ///< Before "lm_head.weight".
  std::string tower;    ///< Before "encoder.layers.0..".
  std::string projector;
  std::string newline;  ///< Before "image_newline".
  ProjectorNames projector_names = ProjectorNames::linear_n;
  /// Layers that are written as p-MoD's training does, ascending: "layers.N.decoder_layer.*",
  /// "layers.N.router.router.*"
  std::vector<int64_t> wrapped;
};

/// The name of a weight in a checkpoint.
std::string name_in(const Layout& layout, const WeightName& name);

/// A tensor of a part, as its name in a checkpoint shows it. `text` is as text_of spells it, also if no weight of a
/// model is called so: `convert` keeps what Lithe does not read.
struct PartName {
  Part part;
  std::string text;
};
std::string name_in(const Layout& layout, const PartName& name);
/// The inverse; absent for names that belong to no part.
std::optional<PartName> part_of(const Layout& layout, const std::string& name);

/// Layers below `layers` for which `checkpoint` holds a router in one of the two ways of writing it.
std::vector<int64_t> layers_with_router(const io::Checkpoint& checkpoint, const std::string& decoder, int64_t layers);

/// A weight that every tower has.
inline constexpr const char* kTowerProbe = "embeddings.patch_embedding.weight";

/// Names of Hugging Face folders, as `checkpoint` has them; null: as they are written.  (hf_folder.cpp)
Layout llava_hf_layout(const io::Checkpoint* checkpoint);

/// Names of LLaVA's own layout, of a tower that is inside the checkpoint too. `projector_type`: mm_projector_type.
/// (llava_original.cpp)
Layout llava_original_layout(const io::Checkpoint* checkpoint, std::string_view projector_type,
                             std::vector<int64_t> wrapped);

/// Whether the tower's weights are inside a checkpoint of that layout.
bool holds_tower(const io::Checkpoint& checkpoint, const Layout& layout);

/// What precedes the names of a tower in its own folder.
std::string own_tower_prefix(const io::Checkpoint& tower);

}  // namespace lithe::models
