#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/prompt_shape.h"

namespace lithe::cli {

/// The published METER, as a shape.
constexpr const char* kMeterShape = "meter";

/// The shapes that `lithe inspect` counts, METER among them.
std::vector<std::string> counted_shapes();

/// `lithe inspect` over METER: a model, or without one the published shape. `plan`: of --plan; absent: the model's own,
/// or of the shape that of EAS for VQAv2.
int inspect_pairs(const std::optional<std::string>& model, const CommonOptions& options,
                  const std::optional<std::string>& plan, const PromptShapeOptions& prompt);

}  // namespace lithe::cli
