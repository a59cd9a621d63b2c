#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/model.h"

// Opens a folder by the family that its config.json names; the table of families is in catalogue.cpp.
namespace lithe::models {

/// What `model_type` may be in a config.json.
std::vector<std::string> model_types();

/// Opens a model folder of any supported layout, or a PEFT folder over the base model that it names. Weights are
/// mapped, not copied, if their type is kept. A GGUF file, or a folder with one, is opened too. Compares tensor names
/// as sets and reports all faults at once. An original config without `mm_vision_tower` opens as a decoder alone: no
/// tower, no projector. Throws Error{bad_file}.
std::unique_ptr<Model> open_model(const std::filesystem::path& folder, const LoadOptions& options = {});

}  // namespace lithe::models
