#include "checkpoints/write/renamed_weights.h"

#include <utility>

#include "base/error.h"
#include "checkpoints/read/packed_weights.h"
#include "checkpoints/write/weight_file.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

bool has_a_row_per_token(const PartName& read) {
  const std::optional<WeightName> name = weight_named(read.text);
  return name && (name->role == Role::embeddings || name->role == Role::head);
}

/// Their settings name modules as one layout does.
void refuse_codes(const io::Checkpoint& checkpoint) {
  require(
      !holds_packed(checkpoint), Fault::bad_request, checkpoint.path().string(),
      ": its weights are codes, which are copied with --to same only; convert the original model, then quantize the "
      "result");
}

}  // namespace

Layout layout_of(const Model& model, const JsonView& config, const io::Checkpoint& checkpoint) {
  if (model.family != "llava_original") return llava_hf_layout(&checkpoint);
  return llava_original_layout(&checkpoint, config.text("mm_projector_type", "linear"), model.decoder.config.routers);
}

RenamedWeights::RenamedWeights(const Model& model, const JsonView& config, io::OnBytes on_bytes)
    : model_(model), on_bytes_(std::move(on_bytes)), checkpoint_(io::Checkpoint::open(model.folder)) {
  const Layout layout = layout_of(model, config, checkpoint_);
  refuse_codes(checkpoint_);
  list(checkpoint_, layout, false);
  if (holds_tower(checkpoint_, layout) || model.tower_folder.empty()) return;
  tower_ = io::Checkpoint::open(model.tower_folder);
  refuse_codes(*tower_);
  Layout own = layout;
  own.tower = own_tower_prefix(*tower_);
  list(*tower_, own, true);
}

void RenamedWeights::list(const io::Checkpoint& checkpoint, const Layout& layout, bool tower_only) {
  for (const std::string& name : checkpoint.names()) {
    std::optional<PartName> read = part_of(layout, name);
    if (tower_only) {
      read.reset();
      if (name.starts_with(layout.tower)) read = PartName{Part::tower, name.substr(layout.tower.size())};
    }
    // Some checkpoints carry a newline that they never read.
    if (!read || (read->part == Part::newline && !(model_.vision && model_.vision->newline))) continue;
    entries_.push_back({*read, &checkpoint.at(name)});
  }
}

std::vector<RenamedWeights::Renamed> RenamedWeights::renamed(const Layout& layout, int64_t rows,
                                                             std::optional<bool> of_tower) const {
  std::vector<Renamed> out;
  for (const Entry& entry : entries_) {
    if (of_tower && *of_tower != (entry.name.part == Part::tower)) continue;
    Renamed tensor{name_in(layout, entry.name), entry.view, entry.view->shape};
    if (has_a_row_per_token(entry.name)) tensor.shape[0] = rows;
    out.push_back(std::move(tensor));
  }
  return out;
}

void RenamedWeights::write(const fs::path& file, const Layout& layout, int64_t rows) {
  write_file(file, renamed(layout, rows, std::nullopt));
}

void RenamedWeights::write_apart(const fs::path& folder, const Layout& layout, int64_t rows, bool inside) {
  if (inside) return write(folder / "model.safetensors", layout, rows);
  write_file(folder / "model.safetensors", renamed(layout, rows, false));
  Layout own = layout;
  own.tower = "vision_model.";
  write_file(folder / "vision_tower/model.safetensors", renamed(own, rows, true));
}

void RenamedWeights::write_file(const fs::path& path, const std::vector<Renamed>& tensors) {
  WeightFile file;
  for (const Renamed& tensor : tensors) file.copy(tensor.name, *tensor.view, tensor.shape);
  file.write(path, on_bytes_);
  tensors_ += file.tensors();
  bytes_ += file.bytes();
}

}  // namespace lithe::models
