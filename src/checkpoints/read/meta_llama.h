#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/checkpoint.h"

namespace lithe::models {

/// LLaMA as Meta publishes it: params.json and consolidated.NN.pth (or .safetensors), one file for each device of model
/// parallelism. Read under the names that transformers gives, with its order of the rows of queries and keys: Meta
/// rotates pairs of neighbours, transformers pairs of halves.
class MetaLlama {
 public:
  /// Whether a folder has a params.json.
  static bool holds(const std::filesystem::path& folder);

  /// Reads params.json and the headers. Throws Error{bad_file}.
  explicit MetaLlama(const std::filesystem::path& folder);

  /// What config.json of transformers says of it. Sizes are those of the tensors.
  Json config() const;

  /// Adds every tensor as PREFIX + "layers.0.self_attn.q_proj.weight", the head as HEAD + "lm_head.weight". Queries,
  /// keys, and whatever lies in several files are copies in memory; the rest are views. Throws Error{bad_file}.
  void put(const std::string& prefix, const std::string& head, std::map<std::string, io::TensorView>& out) const;

 private:
  std::vector<const io::TensorView*> parts_of(const std::string& name) const;
  int64_t rows_of(const std::string& name) const;

  std::filesystem::path folder_;
  Json params_;
  std::vector<io::Checkpoint> parts_;
};

}  // namespace lithe::models
