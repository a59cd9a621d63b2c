#pragma once

#include <memory>
#include <string>

#include "base/json.h"
#include "checkpoints/read/family.h"
#include "checkpoints/read/layouts.h"

namespace lithe::models {

/// What a family's config class in transformers takes for the keys that config.json leaves out.
struct HfDefaults {
  const char* decoder = "llama";  ///< "model_type" of text_config.
  Json tower;                     ///< vision_config.
  int64_t feature_layer = -2;
  const char* select_strategy = "default";
};

/// A folder of transformers while it is opened: text_config and vision_config as a decoder and a tower, a projector
/// between them, weights by the names of versions 4 and 5. Pictures and prompts are the family's.
class HfFolder {
 public:
  /// The parts of the model take their shapes. Throws Error{bad_file}.
  HfFolder(const Source& source, const std::string& family, const HfDefaults& defaults);

  Model& model() { return *model_; }
  Vision& vision() { return *model_->vision; }

  /// Fills the weights. Whether there is a newline is known by now. Throws Error{bad_file}.
  void load();
  /// The model with everything that follows from its parts. Throws Error{bad_file}.
  std::unique_ptr<Model> complete();

 private:
  const Source& source_;
  WeightLoader loader_;
  const io::Checkpoint& checkpoint_;
  const Layout layout_;
  TowerFiles tower_files_;
  std::unique_ptr<Model> model_;
};

}  // namespace lithe::models
