#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "io/tensor_view.h"

namespace lithe::io {

/// All named tensors of a model: a folder in one of the public layouts, or one file. Opening reads headers only; the
/// weights are mapped and read when they are touched. Threads may share a Checkpoint.
class Checkpoint {
 public:
  /// A file: .safetensors, or what torch.save wrote (.bin, .pth, .ckpt, .pt). A folder, the first of these that is
  /// there, in the order of transformers: model.safetensors, model.safetensors.index.json, pytorch_model.bin,
  /// pytorch_model.bin.index.json; then every *.safetensors in it, consolidated.00.pth alone. Throws Error{bad_file}.
  static Checkpoint open(const std::filesystem::path& path);
  /// Tensors under names that they have in no file. `path`: where they came from, for errors.
  static Checkpoint of(const std::filesystem::path& path, std::map<std::string, TensorView> tensors);

  /// Null when it is not there. The first call copies a tensor that lies misaligned in its file.
  const TensorView* find(const std::string& name) const;
  /// The same; throws Error{bad_file} with the name, the path and near names.
  const TensorView& at(const std::string& name) const;
  bool contains(const std::string& name) const { return tensors_.contains(name); }

  /// Adds a tensor, in place of one of that name.
  void put(const std::string& name, TensorView tensor);

  std::vector<std::string> names() const;  ///< Sorted.
  int64_t bytes() const;                   ///< Of all tensors.
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  mutable std::map<std::string, TensorView> tensors_;  ///< find() aligns them, under the lock.
  std::unique_ptr<std::mutex> aligning_ = std::make_unique<std::mutex>();
};

/// Tensor name to shard, out of the text of an index.json. Every shard is a plain file name: no folders, no "..".
/// Throws Error{bad_file}; `source` is the file's name.
std::map<std::string, std::string> parse_shard_index(std::string_view text, const std::string& source);

}  // namespace lithe::io
