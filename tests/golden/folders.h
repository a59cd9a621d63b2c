#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

namespace lithe::golden {

/// A folder under the system's temporary one, removed with everything in it.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// One way to open a case's weights: a checkpoint folder of the case, with another config.json if `config` names one.
struct CheckpointForm {
  std::string name;              ///< "checkpoint", "checkpoint_sharded", "checkpoint/config.v5.json"
  std::filesystem::path folder;  ///< Of the case.
  std::filesystem::path config;  ///< The file that stands for config.json.
};

/// Every form that the case's folders checkpoint* offer.
std::vector<CheckpointForm> forms_of(const std::filesystem::path& case_folder);

/// Puts a form together below `temp` out of links: files that a second form lacks (tokenizer, preprocessing) come from
/// the case's `checkpoint`, and `changes` replace keys of its config. Returns the model folder; what the case has
/// beside its checkpoints (vision_tower) stands beside it.
std::filesystem::path assemble(const CheckpointForm& form, const Json& changes, const TempFolder& temp);

}  // namespace lithe::golden
