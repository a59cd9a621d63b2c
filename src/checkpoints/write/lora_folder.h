#pragma once

#include <cstdint>
#include <filesystem>

#include "models/lora.h"
#include "models/model.h"
#include "plan/plan.h"

namespace lithe::models {

/// What a folder of LoRA holds.
struct LoraCount {
  int64_t products = 0;  ///< That have factors.
  int64_t whole = 0;     ///< Tensors that learned whole, or that the base model has not.
};

/// Writes the LoRA of a model (add_lora, or a PEFT folder that it was opened with) as a PEFT folder over the model's
/// own: adapter_config.json, and adapter_model.safetensors in float32 with the names that PEFT gives the modules of
/// this layout. Tensors that learned whole are in it too, as `modules_to_save`; new routers and adapters, which PEFT
/// does not know, are for Lithe alone, as is plan.json if `plan` needs one. In LLaVA's own layout, config.json comes
/// along. The folder opens as the same model with `plan`. `folder` is new or empty; to make it appear whole or not at
/// all, give the part of an io::NewFolder. Throws Error{bad_request}: no LoRA, LoRA of another shape, a product that
/// learned whole under its LoRA, a model that was not read from a folder; Error{bad_file}, also for weights that are
/// not finite.
LoraCount write_lora(const Model& model, const LoraShape& shape, const plan::Plan& plan,
                     const std::filesystem::path& folder);

}  // namespace lithe::models
