#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoints/write/weight_file.h"
#include "io/tensor_view.h"
#include "models/low_bit_weights.h"
#include "ops/low_bit.h"

// Weights as codes in a file, in the layout of compressed-tensors: int4 is "pack-quantized", int8 "int-quantized",
// whose codes need not be unpacked and can stay in the file's mapping.
namespace lithe::models {

/// A weight of a checkpoint and the codes that it gets.
struct CodedWeight {
  std::string module;          ///< Its name without ".weight".
  std::vector<int64_t> shape;  ///< [out, in]
  Codes codes;
  bool embeddings = false;                         ///< Not a product.
  std::optional<ops::LowBit> made = std::nullopt;  ///< The codes themselves, if they are there already.
};

/// Its tensors, rounded as the loader rounds when it is asked for such codes, unless the codes are made. The view must
/// outlive them. Making them throws Error{bad_file} for numbers that are not finite.
MadeTensors code_tensors(const CodedWeight& weight, const io::TensorView& view);

/// "quantization_config" for a folder with these weights. `plain`: modules of matrices that have no codes.
Json code_config(const std::vector<CodedWeight>& weights, const std::vector<std::string>& plain);

}  // namespace lithe::models
