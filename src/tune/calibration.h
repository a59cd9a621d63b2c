#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "checkpoints/write/quantising.h"
#include "tune/recipe.h"

namespace lithe::tune {

struct CalibrationOptions {
  DataSet data;
  int64_t records = 64;  ///< At most; drawn from the data by `seed`.
  uint64_t seed = 0;
  std::function<void(int64_t layers, int64_t of)> on_layer;  ///< How many decoder layers are rounded.
};

/// The folder that was written, and what was read for it.
struct Calibrated {
  models::Quantised folder;
  int64_t records = 0, rows = 0;
  int64_t unread = 0;  ///< Weights whose products read no row; they are rounded as without data.
};

/// models::quantise_folder to int4, for data: runs records with their answers under the model's own plan, and rounds
/// each weight for the rows that its products read (ops/error_feedback.h). Records that are too long are cut. Holds the
/// embeddings of all rows, the codes, and x^T x for each product of a decoder layer, or of the tower, with three more
/// of the widest: about 2 GB at 7B width. Throws as quantise_folder does, Error that names a record that can't be used,
/// and Error{bad_file} for data without records or if a product read numbers that are not finite.
Calibrated quantise_for(const CalibrationOptions& calibration, const std::filesystem::path& from,
                        const std::filesystem::path& to, models::QuantiseOptions options,
                        const io::OnBytes& on_bytes = {});

}  // namespace lithe::tune
