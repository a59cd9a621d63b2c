#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/json.h"
#include "io/checkpoint.h"
#include "models/loading.h"
#include "models/meter/meter.h"

namespace lithe::models {

/// The model_type of config.json.
constexpr const char* kMeterType = "meter";

/// Whether this is a METER model: a folder whose config.json says so, or a checkpoint file (.ckpt) of PyTorch
/// Lightning.
bool is_meter(const std::filesystem::path& path);

/// Opens a folder or a checkpoint file. The shapes of the tensors say the sizes; what they do not show comes from the
/// hyper-parameters that a .ckpt holds, from config.json, and from `changes`, each in place of the one before. Throws
/// Error{bad_file}.
std::unique_ptr<Meter> open_meter(const std::filesystem::path& path, const LoadOptions& options = {},
                                  const Json& changes = Json::object());

/// The config of a checkpoint: what open_meter goes by, and what a converted folder keeps.
Json meter_settings(const std::filesystem::path& path, const Json& changes = Json::object());

/// The name of a weight in METER's checkpoints. Queries, keys and values of the tower have names of their own here;
/// the files hold them as one (attn.in_proj_weight).
std::string meter_name(const WeightName& name);

/// The table of positions for another size of pictures, as METER resizes it: bicubic, the class token's row stays.
/// positions: [1 + n * n, width] -> [1 + side * side, width]
Tensor resized_positions(const Tensor& positions, int64_t side);

}  // namespace lithe::models
