#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "models/loading.h"

namespace lithe::models {

struct Model;
struct CalibratedCodes;

struct QuantiseOptions {
  WeightStorage weights = WeightStorage::int8;  ///< bfloat16, int8 or int4.
  bool keeps_embeddings = false;                ///< Embeddings and head stay as they are.
  /// Makes the codes of some weights by running the opened model; only for int4. Empty: no weight's.
  std::function<CalibratedCodes(Model&)> calibrate;
};

/// What a folder became.
struct Quantised {
  int64_t tensors = 0;
  int64_t bytes_before = 0, bytes = 0;       ///< Of the tensors.
  int64_t int8 = 0, int4 = 0, bfloat16 = 0;  ///< Weights of each kind that were made.
  std::vector<std::string> notes;            ///< Of the model, a sentence each.
};

/// Writes the model folder `from` anew as `to`, with its weights rounded. Opened, it computes to the bit what `from`
/// computes when it is opened with `weights`, unless it was calibrated. The layout of the folder stays, and so do
/// weights that have no codes (models/low_bit_weights.h); LaVIN in parts becomes one folder. Codes are stored as
/// compressed-tensors does. No more than a weight at a time is in memory, beside calibrated codes. `to` must not exist;
/// it appears whole or not at all. `on_bytes` counts the file of weights. Throws Error{bad_file}, and
/// Error{bad_request} for a model that has codes already, METER, an adapter without its base, for `calibrate` without
/// int4, or if `to` exists or is inside `from`.
Quantised quantise_folder(const std::filesystem::path& from, const std::filesystem::path& to,
                          const QuantiseOptions& options, const io::OnBytes& on_bytes = {});

}  // namespace lithe::models
