#pragma once

#include <optional>
#include <string>

#include "cli/options.h"
#include "cli/prompt_shape.h"

namespace lithe::cli {

/// `lithe inspect` over METER: a model, or without one the published shape. `plan`: of --plan; absent: the model's own,
/// or of the shape that of EAS for VQAv2.
int inspect_pairs(const std::optional<std::string>& model, const CommonOptions& options,
                  const std::optional<std::string>& plan, const PromptShapeOptions& prompt);

}  // namespace lithe::cli
