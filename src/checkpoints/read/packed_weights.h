#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/checkpoint.h"
#include "ops/low_bit.h"

// Weights that a checkpoint stores as codes of 8 or 4 bits. A format is one file of this folder
// (compressed_tensors.cpp, gptq.cpp, awq.cpp), its declaration below, and a line of the table in packed_weights.cpp.
// The codes of GGUF files are found by their own reader.
namespace lithe::models {

/// A weight that is stored as codes.
struct PackedWeight {
  std::string name;                ///< As if it were plain: "model.layers.0.mlp.up_proj.weight"
  std::vector<int64_t> shape;      ///< [out, in]
  std::vector<std::string> parts;  ///< The tensors that it is made of, the codes first; empty in a GGUF file.
  std::vector<int64_t> order;      ///< Which column of the weight each column of codes is; empty: they are the same.
  std::function<ops::LowBit()>
      codes;  ///< Maps them from the file if they lie as the kernels need them, else packs them.
};

/// The numbers that it stands for.  -> [out, in] float32
at::Tensor widened(const PackedWeight& weight);

/// The weights of one checkpoint or more that are stored as codes.
class PackedWeights {
 public:
  /// Finds those of a checkpoint, by their names and by the settings that its folder has for them, and puts each into
  /// the checkpoint under its plain name: a view of int8 and of the weight's shape, whose bytes are those of the
  /// packed codes and are read by find() alone. Finds nothing if the settings name a format that is not read. Returns
  /// the names of all parts. Throws Error{bad_file} for parts or settings that are damaged or not supported.
  std::vector<std::string> add(io::Checkpoint& checkpoint);

  /// Takes a weight that another reader found (gguf/tensors.h), and the view that stands for it in its checkpoint.
  void put(const io::TensorView& view, PackedWeight weight);

  /// The weight that a view of a checkpoint stands for; null if it is plain.
  const PackedWeight* find(const io::TensorView& view) const;

 private:
  std::map<const std::byte*, PackedWeight> weights_;  ///< By where their codes lie, whatever name LoRA gives them.
};

/// The name that the weight with this part would have if it were plain: of "lm_head.qweight", "lm_head.weight". Absent
/// for names that are not those of such parts.
std::optional<std::string> plain_name_of_part(const std::string& name);

/// Whether a checkpoint seems to hold packed weights, of any format.
bool holds_packed(const io::Checkpoint& checkpoint);

/// Whether weights that this method of quantization_config stored ("gptq") can be read.
bool reads_packed(const std::string& method);

// The formats. Each finds its weights in a checkpoint; `settings`: quantization_config. Throw Error{bad_file}.
std::vector<PackedWeight> find_compressed_tensors(const io::Checkpoint& checkpoint, const JsonView& settings);
std::vector<PackedWeight> find_gptq(const io::Checkpoint& checkpoint, const JsonView& settings);
std::vector<PackedWeight> find_awq(const io::Checkpoint& checkpoint, const JsonView& settings);

/// The names in a checkpoint with this ending, without it.
std::vector<std::string> modules_with(const io::Checkpoint& checkpoint, const std::string& ending);

}  // namespace lithe::models
