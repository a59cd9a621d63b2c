#pragma once

#include <filesystem>

#include "checkpoints/write/converting.h"
#include "models/meter/meter.h"
#include "plan/plan.h"

namespace lithe::models {

/// Writes a METER checkpoint (a .ckpt or a folder) as a folder: config.json, model.safetensors with every tensor under
/// its published name, plan.json if attentions are skipped, tokenizer. It opens as the same model. `to` must not exist;
/// it appears whole or not at all. Throws Error.
Converted convert_meter(const std::filesystem::path& from, const std::filesystem::path& to);

/// Writes a METER that was tuned as such a folder, with `plan`: weights that learned in the type of their file, new
/// ones in float32, everything else bit for bit. `folder` is new or empty. Throws Error.
void write_tuned_meter(const Meter& meter, const plan::Plan& plan, const std::filesystem::path& folder);

}  // namespace lithe::models
