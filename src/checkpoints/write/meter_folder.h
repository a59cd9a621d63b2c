#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "checkpoints/write/converting.h"
#include "checkpoints/write/weight_file.h"
#include "models/meter/meter.h"
#include "plan/plan.h"

namespace lithe::models {

/// Tensors that a folder has in place of those of a checkpoint, or beside them, by their names there.
struct MeterChanges {
  std::map<std::string, MadeWeight> made;
  std::function<bool(const std::string& name)> drops;  ///< Of the checkpoint's tensors. May be empty.
  WeightFile::Refusals refusals{"", ""};
  bool plan_is_chosen = false;  ///< Also a plan that skips nothing is told, if there are PIAs.
};

/// What was written, and by how much rounding to 16 bits moved a weight at most (WeightFile::write).
struct WrittenMeter {
  Converted converted;
  double rounding = 0;
};

/// Writes METER as such a folder, with `plan` and with changes. `folder` is new or empty. Throws Error.
WrittenMeter write_meter(const Meter& meter, const plan::Plan& plan, MeterChanges changes,
                         const std::filesystem::path& folder);

/// Writes a METER that was tuned as such a folder, with `plan`: weights that learned in the type of their file, new
/// ones in float32, everything else bit for bit. `folder` is new or empty. Throws Error.
void write_tuned_meter(const Meter& meter, const plan::Plan& plan, const std::filesystem::path& folder);

}  // namespace lithe::models
