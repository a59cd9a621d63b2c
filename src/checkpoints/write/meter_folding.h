#pragma once

#include <filesystem>

#include "checkpoints/write/folding.h"
#include "models/meter/meter.h"

namespace lithe::models {

/// Writes METER as a folder without its RepAdapters. They have no gate, so each goes into the products that read it,
/// exactly for every pair and every plan. PIAs stay: they depend on the pair, and the norm of their site follows them.
/// Weights are folded in float64 and rounded once to the type that they are held in. `folder` is new or empty. Throws
/// Error{bad_request} if there is nothing to fold, Error{bad_file}.
FoldCount write_folded_meter(const Meter& meter, const std::filesystem::path& folder);

}  // namespace lithe::models
