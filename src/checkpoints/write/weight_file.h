#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "io/safetensors.h"

namespace lithe::models {

using at::Tensor;

/// A weight that is made when it is written, so that the weights of a model that change need not be in memory at once.
struct MadeWeight {
  at::ScalarType type;  ///< To be written in.
  std::vector<int64_t> shape;
  std::function<Tensor()> make;  ///< Not rounded to `type` yet.
};

/// Tensors that are made together when they are written, such as the codes of a weight and their scales.
struct MadeTensors {
  std::vector<io::SafetensorsWriter::Entry> tensors;
  std::function<std::vector<Tensor>()> make;  ///< In the same order, contiguous, in the types of `tensors`.
};

/// A .safetensors file in the making: tensors of other files, bit for bit, and weights that are made. Every kind of
/// folder that is written (converted, folded, tuned, LoRA) fills its own list; no more than a tensor at a time is in
/// memory.
class WeightFile {
 public:
  /// How the sentences end that refuse a made weight.
  struct Refusals {
    const char* not_finite;  ///< After "holds numbers that are not finite".
    const char* too_large;   ///< After "which float16 cannot hold".
  };

  explicit WeightFile(const Refusals& refusals = {"", ""}) : refusals_(refusals) {}

  /// The view must outlive this.
  void copy(const std::string& name, const io::TensorView& view) { copy(name, view, view.shape); }
  /// With another number of rows. What is added repeats the first row, so that the logit of an added row of a head is
  /// never the highest.
  void copy(const std::string& name, const io::TensorView& view, const std::vector<int64_t>& shape);
  /// `weight.make` is called in write(). Rows that the weight lacks repeat its first row, as above.
  void make(const std::string& name, MadeWeight weight) { tensors_.push_back({name, nullptr, std::move(weight)}); }

  void make(MadeTensors together) { together_.push_back(std::move(together)); }

  bool makes_any() const;
  int64_t tensors() const;
  int64_t bytes() const;  ///< Of the tensors.

  /// Returns by how much rounding to 16 bits moved a weight at most, relative to the largest of its tensor. Throws
  /// Error{bad_file}, and for made weights that are not finite or that their type cannot hold Error{bad_file} and
  /// Error{bad_request}.
  double write(const std::filesystem::path& file, const io::OnBytes& on_bytes = {}) const;

 private:
  struct Entry {
    std::string name;
    const io::TensorView* view;  ///< Null for what is made.
    MadeWeight weight;           ///< Of what is copied only the shape.
  };
  std::vector<io::SafetensorsWriter::Entry> entries() const;
  Tensor rounded(const Entry& entry, double& rounding) const;

  Refusals refusals_;
  std::vector<Entry> tensors_;
  std::vector<MadeTensors> together_;
};

}  // namespace lithe::models
