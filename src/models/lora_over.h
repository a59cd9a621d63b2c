#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "nn/lora.h"
#include "plan/facts.h"
#include "plan/plan.h"

namespace lithe::models {

/// A LoRA over a model that answers without it and under others at the same time (checkpoints/read/lora_over.h). The
/// model must outlive it, and stay where it is.
struct LoraOver {
  std::string name;              ///< As requests call it.
  std::filesystem::path folder;  ///< It came from there, and reads nothing more.
  uint64_t id = 0;               ///< From 1 on: another for each that was ever made, whatever its name.
  nn::Lora terms;
  bool changes_pictures = false;   ///< It is on the tower or the projector too.
  std::optional<plan::Plan> plan;  ///< Of requests under it that name none; absent: the model's.
  plan::ModelFacts facts;          ///< Of the model under it.
  int64_t bytes = 0;
  int64_t lowest_rank = 0, highest_rank = 0;

  /// What pictures are under; null: nothing.
  const nn::Lora* of_pictures() const { return changes_pictures ? &terms : nullptr; }
};

}  // namespace lithe::models
