#pragma once

#include <filesystem>
#include <memory>

#include "models/model.h"

namespace lithe::models {

/// Opens a model that llama.cpp's converters wrote (docs/checkpoints.md): a text model with LLaMA's or Qwen2's decoder,
/// alone or with LLaVA's tower and projector in an mmproj. Codes of the file are held as int8 and int4 that stand for
/// the same numbers. Throws Error{bad_file}.
std::unique_ptr<Model> open_gguf(const std::filesystem::path& path, const LoadOptions& options);

}  // namespace lithe::models
