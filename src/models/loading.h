#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "models/parts/weight_name.h"

// How weights are loaded, and what is known of those that were.
namespace lithe::models {

/// How weights are held. In which numbers they are multiplied is another choice (ops::Compute).
enum class WeightStorage { as_in_file, float32, bfloat16, float16, int8, int4 };

struct LoadOptions {
  std::filesystem::path lora;  ///< A PEFT folder whose LoRA goes over the model (checkpoints/read/lora.h); empty: none.
  std::filesystem::path mmproj;  ///< A GGUF file with tower and projector for a GGUF text model; empty: one beside it.
  WeightStorage weights = WeightStorage::as_in_file;
  std::string device = "cpu";
  /// Which weights learn: they are opened as float32 in memory of their own, and ask for gradients. Empty: none.
  std::function<bool(const WeightName&)> learns;
  std::function<void(int64_t bytes_done, int64_t bytes_total)> progress;  ///< May be empty.
};

/// Where a weight is on disk, so that it can be written anew.
struct WeightOrigin {
  std::filesystem::path checkpoint;  ///< The folder.
  std::string name;                  ///< As the model's layout calls it.
  std::string in_file;               ///< As the checkpoint calls it: a base model under LoRA may lack parts of names.
};

/// LoRA that a model was opened with.
struct LoraUse {
  std::filesystem::path folder;
  int64_t products = 0;  ///< That have low-rank terms.
  int64_t lowest_rank = 0, highest_rank = 0;
  int64_t whole = 0;  ///< Tensors that the folder brings whole.
};

/// What a loader filled a model's weights with.
struct Loaded {
  WeightStorage asked = WeightStorage::as_in_file;  ///< How they were to be held.
  std::set<std::string> not_run;                    ///< Plain names of tensors that the model does not need.
  int64_t bytes = 0;                                ///< As held.
  std::map<WeightName, WeightOrigin> origins;       ///< Empty for random models.
  std::optional<LoraUse> lora;
};

}  // namespace lithe::models
