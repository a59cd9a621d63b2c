#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/json.h"
#include "checkpoints/write/weight_file.h"
#include "io/checkpoint.h"
#include "models/model.h"

// A model's folder written anew with some of its weights changed: what folding and tuning share.
namespace lithe::models {

/// What becomes of the weights that a model was read from. What it does not speak of is copied.
struct ChangedWeights {
  std::map<WeightName, MadeWeight> made;  ///< In their places.
  std::function<bool(const WeightName&)> drops;
  /// The new name of a tensor of the file; absent if it goes too. `weight`: what was read from it; null: nothing.
  std::function<std::optional<std::string>(const std::string& in_file, const WeightName* weight)> name;
};

/// Lists one checkpoint of the model in `file`. The checkpoint must outlive it.
void list_changed(const Model& model, const io::Checkpoint& checkpoint, const ChangedWeights& changes,
                  WeightFile& file);

/// The weights of a model's own folder, under the names that its layout gives them.
io::Checkpoint own_checkpoint(const Model& model);

/// Copies the files of a model's folder that hold no weights, but those named in `made`, and its tokenizer if that lies
/// elsewhere.
void copy_files(const Model& model, const std::filesystem::path& folder, const std::set<std::string>& made);

/// The model's config.json for another folder: it names the conversation, which may follow from the folder's name, and
/// the tower's folder inside the new one.
Json pinned_config(const Model& model);

/// The tower's own folder as `out`: with the weights of `file` if any of them is made, else as it is.  -> the rounding
double write_tower_folder(const Model& model, const WeightFile& file, const std::filesystem::path& out);

}  // namespace lithe::models
