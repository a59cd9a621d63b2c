#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "io/checkpoint.h"
#include "models/loading.h"

namespace lithe::models {

struct Model;

/// Where the parts of a LaVIN model lie.
struct LavinParts {
  std::filesystem::path llama;      ///< A folder: params.json with consolidated.*, or LLaMA as transformers writes it.
  std::filesystem::path tokenizer;  ///< The folder with tokenizer.model; empty: there is none.
  std::filesystem::path clip;       ///< OpenAI's file, or a folder as transformers writes it.
  std::filesystem::path adapter;    ///< A file; empty: there is none yet.
};

/// A LaVIN model on disk: a whole folder that Lithe wrote (`text_config` in its config.json), or a folder with the
/// parts as they are published (docs/checkpoints.md says how they are found), whose config.json may say where they are.
/// Both give one config and one checkpoint with names as in the Hugging Face layout of LLaVA.
class LavinFolder {
 public:
  /// Whether a folder without config.json holds parts of LaVIN.
  static bool holds_parts(const std::filesystem::path& folder);
  /// Whether a folder is one of LaVIN, of either kind.
  static bool is(const std::filesystem::path& folder);

  /// `own`: the folder's config.json, or an empty object. Throws Error{bad_file} for a part that is missing or that
  /// could be several files.
  LavinFolder(const std::filesystem::path& folder, Json own);
  /// With the folder's own config.json, or the one that is given, if there is one.
  static LavinFolder open(const std::filesystem::path& folder);
  static LavinFolder open(const std::filesystem::path& folder, const std::filesystem::path& config);

  bool whole() const { return !parts_; }
  const std::optional<LavinParts>& parts() const { return parts_; }
  std::filesystem::path tokenizer() const { return parts_ ? parts_->tokenizer : folder_; }  ///< A folder, or empty.

  /// As a whole folder has it: "text_config", "vision_config", and the keys of its own config.json.
  Json config() const;
  /// Every tensor. What adapters are called is in docs/checkpoints.md.
  io::Checkpoint checkpoint() const;

 private:
  std::filesystem::path folder_;
  Json own_;
  std::optional<LavinParts> parts_;  ///< Absent: a whole folder.
};

/// Of a LaVIN model: whether the gates of its adapters read the prompt, as with EAS, and not the modality row. A folder
/// that has lost its PIAs says so in its config.json ("gates_read_prompt").
bool gates_read_prompt(const Model& model);

}  // namespace lithe::models
