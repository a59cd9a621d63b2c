#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/checkpoint.h"
#include "models/model.h"
#include "models/parts/weight_slot.h"

namespace lithe::models {

/// Fills the weights of a model from one or more checkpoints. First every weight is taken by name, then `load` reports
/// all faults at once, or maps and converts. Views of the files' mappings are used as they are where the type is kept.
class WeightLoader {
 public:
  explicit WeightLoader(const LoadOptions& options) : options_(options) {}

  /// Opens a file or folder; the checkpoint lives as long as the loader. Throws Error{bad_file}.
  const io::Checkpoint& open(const std::filesystem::path& path);

  /// Notes that `slot` is `name` in `checkpoint`; a matrix may be stored as a convolution of width 1. The slot's tensor
  /// must stay where it is until load().
  void take(const io::Checkpoint& checkpoint, const std::string& name, const WeightSlot& slot);

  /// Tensors of this name, or under this prefix where it ends with a point, may be there and are not read.
  void ignore(const io::Checkpoint& checkpoint, const std::string& name);

  /// Notes every tensor of `checkpoint` that was not taken and is none of the known useless ones.
  void refuse_others(const io::Checkpoint& checkpoint);

  /// Fills the slots; returns the bytes held. Throws Error{bad_file}: missing, unexpected and misshapen names, all at
  /// once.
  int64_t load();

 private:
  struct Claim {
    const io::TensorView* view;
    at::Tensor* tensor;
    std::vector<int64_t> shape;
    bool matrix;
  };
  void check() const;
  at::Tensor held(const Claim& claim) const;

  LoadOptions options_;
  std::vector<std::unique_ptr<io::Checkpoint>> checkpoints_;
  std::vector<Claim> claims_;
  std::vector<std::pair<const io::Checkpoint*, std::string>> taken_, ignored_;
  std::vector<std::string> missing_, unexpected_, misshapen_;
};

/// A tensor over the memory of the view, which stays alive as long as the tensor. Throws Error{bad_file} for types that
/// are no floating point.
at::Tensor tensor_over(const io::TensorView& view);

/// The first prefix under which `name` is in the checkpoint; the first of all where it is nowhere, so that errors name
/// that.
std::string prefix_of(const io::Checkpoint& checkpoint, const std::vector<std::string>& prefixes,
                      const std::string& name);

}  // namespace lithe::models
