#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoints/read/layouts.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"
#include "models/model.h"

namespace lithe::models {

/// The names in an opened model's own checkpoint.
Layout layout_of(const Model& model, const JsonView& config, const io::Checkpoint& checkpoint);

/// The tensors of an opened model's folder, as its files hold them, to be written under another layout's names. The
/// bytes of a tensor stay what they are; only the embeddings and the head may get rows or lose them.
class RenamedWeights {
 public:
  /// Opens the folder's checkpoint, and that of its tower if the tower has a folder of its own. `on_bytes`
  /// counts each file that is written from its beginning. Throws Error{bad_file}.
  RenamedWeights(const Model& model, const JsonView& config, io::OnBytes on_bytes);

  /// Whether the tower's weights are in the same file as the language model's.
  bool tower_inside() const { return !tower_; }

  /// Everything as one file. `rows`: of the embeddings and the head; what is added repeats their first row, so that the
  /// logit of an added row is never the highest. Throws Error{bad_file}.
  void write(const std::filesystem::path& file, const Layout& layout, int64_t rows);

  /// model.safetensors in `folder`, and the tower in vision_tower/model.safetensors unless it goes `inside`.
  void write_apart(const std::filesystem::path& folder, const Layout& layout, int64_t rows, bool inside);

  int64_t tensors() const { return tensors_; }  ///< Written so far.
  int64_t bytes() const { return bytes_; }      ///< Of these.

 private:
  struct Entry {
    PartName name;
    const io::TensorView* view;
  };
  struct Renamed {
    std::string name;
    const io::TensorView* view;
    std::vector<int64_t> shape;
  };
  void list(const io::Checkpoint& checkpoint, const Layout& layout, bool tower_only);
  std::vector<Renamed> renamed(const Layout& layout, int64_t rows, std::optional<bool> of_tower) const;
  void write_file(const std::filesystem::path& path, const std::vector<Renamed>& tensors);

  const Model& model_;
  const io::OnBytes on_bytes_;
  io::Checkpoint checkpoint_;
  std::optional<io::Checkpoint> tower_;
  std::vector<Entry> entries_;
  int64_t tensors_ = 0, bytes_ = 0;
};

}  // namespace lithe::models
