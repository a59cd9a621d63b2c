#pragma once

#include <filesystem>

#include "checkpoints/write/tuned.h"
#include "models/model.h"
#include "plan/plan.h"

namespace lithe::models {

/// Whether a weight is one of those that LaVIN's adapter file holds: adapters, projector, modality rows.
bool in_lavin_adapter(const WeightName& name);

/// Writes what was tuned of a LaVIN model as its authors publish it: checkpoint-N.pth, and the same tensors as
/// checkpoint-N.safetensors, with a config.json that says where LLaMA, its tokenizer and CLIP lie, and a plan.json. The
/// folder opens as the tuned model. Throws Error{bad_request} if something else learned, or for a model that is not in
/// its published parts.
TunedCount write_lavin_adapter(const Model& model, const plan::Plan& plan, const std::filesystem::path& folder,
                               const TunedOptions& options);

}  // namespace lithe::models
