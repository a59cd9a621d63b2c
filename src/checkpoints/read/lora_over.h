#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "models/lora_over.h"
#include "models/model.h"

namespace lithe::models {

/// Opens a PEFT folder as a LoRA that only some rows of a pass are under, so that several share the weights of a model.
/// The factors are copied, in the type that they have if the model is opened with the folder (LoadOptions::lora), and
/// the model does not change: any thread may call it while another runs the model. Throws Error{bad_file} as opening
/// the model with the folder does; Error{bad_request} for what all requests would share: complete tensors, a config of
/// the folder's own, LoRA that the model has already; Error{no_memory} if the factors do not fit into `most_bytes`.
std::shared_ptr<const LoraOver> open_lora_over(const Model& model, const std::string& name,
                                               const std::filesystem::path& folder, int64_t most_bytes);

}  // namespace lithe::models
