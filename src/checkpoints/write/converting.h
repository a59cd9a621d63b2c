#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "io/safetensors.h"

namespace lithe::models {

/// How `convert_folder` writes a model.
enum class TargetLayout {
  same,      ///< As it is; only the weights become safetensors.
  hf,        ///< Hugging Face: llava or llava_next, one model.safetensors with everything.
  original,  ///< LLaVA's own, with the tower beside the language model or inside, as it came.
};

/// What a folder became.
struct Converted {
  int64_t tensors = 0;
  int64_t bytes = 0;               ///< Of the tensors.
  int64_t files = 0;               ///< Others, written or copied.
  std::vector<std::string> notes;  ///< What only Lithe reads of the new folder, a sentence each.
};

/// Writes the model folder `from` anew as `to`, in a layout of docs/checkpoints.md; opened, it computes the same from
/// the same request. Types of weights are kept; no more than a tensor at a time is in memory. `to` must not exist;
/// it appears whole or not at all. Throws Error{bad_file}; Error{bad_request} if `to` exists or is inside
/// `from`, or if the layout has no form for the model. METER, which may be a file, has one layout (meter_folder.h).
/// `on_bytes` counts each file of weights from its beginning.
Converted convert_folder(const std::filesystem::path& from, const std::filesystem::path& to, TargetLayout layout,
                         const io::OnBytes& on_bytes = {});

/// Writes a METER checkpoint (a .ckpt or a folder) as a folder: config.json, model.safetensors with every tensor under
/// its published name, plan.json if attentions are skipped, tokenizer. It opens as the same model. `answers`: the names
/// of the classes of its head vqa, in place of those that it has; empty: as they are. `to` must not exist; it appears
/// whole or not at all. Throws Error, also Error{bad_request} if not every class gets a name.
Converted convert_meter(const std::filesystem::path& from, const std::filesystem::path& to,
                        const std::vector<std::string>& answers = {});

}  // namespace lithe::models
