#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "nn/adapters/low_rank.h"
#include "routing/batch.h"

namespace lithe::golden {

/// The tensors of a case's file, and the parts of adapters that some of them are.
class TensorFile {
 public:
  explicit TensorFile(const std::filesystem::path& file) : file_(io::open_safetensors(file)) {}

  /// As it lies in the file: float32 or float64.
  at::Tensor operator[](const std::string& name) const;
  bool has(const std::string& name) const { return file_.tensors.contains(name); }
  const io::TensorView& view(const std::string& name) const { return file_.tensors.at(name); }

  /// NAME.weight, a matrix or a convolution of width 1, and NAME.bias.
  nn::Linear linear(const std::string& name) const;
  /// NAME.conv_B and NAME.conv_D.
  nn::GatedUp up(const std::string& name, int64_t groups, double scale) const;

 private:
  io::SafetensorsFile file_;
};

/// A batch of one sequence whose rows stand at positions 0, 1, ..
routing::Batch batch_of(const routing::Sequence& sequence, std::vector<routing::RowKind> kinds);

}  // namespace lithe::golden
