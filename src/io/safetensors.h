#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "io/output_file.h"
#include "io/tensor_view.h"

namespace lithe::io {

/// Called as bytes of a file are written: how many so far, and of how many.
using OnBytes = std::function<void(int64_t done, int64_t total)>;

using Metadata = std::map<std::string, std::string>;

struct SafetensorsFile {
  std::map<std::string, TensorView> tensors;
  Metadata metadata;  ///< The header's `__metadata__`.
};

/// What to do with tensors that do not begin at a multiple of their element: old writers did not pad the header.
enum class Misaligned { copy, keep };

/// Opens a .safetensors file. Tensors are views into its mapping; misaligned ones are copied. Nothing in the
/// header is trusted: as in the published format, the tensors must cover the data without holes or overlaps. Throws
/// Error{bad_file} with the file, the tensor and what is wrong.
SafetensorsFile open_safetensors(const std::filesystem::path& path);

/// The same over memory.
SafetensorsFile parse_safetensors(const Bytes& bytes, Misaligned misaligned = Misaligned::copy);

/// Writes a .safetensors file whose tensors come one after another, in any order, so that they need not all be in
/// memory.
class SafetensorsWriter {
 public:
  struct Entry {
    std::string name;
    Dtype dtype = Dtype::float32;
    std::vector<int64_t> shape;
  };

  /// `on_bytes` is called after every tensor. Throws Error{bad_request} for a name that stands twice or is
  /// `__metadata__`, and for an impossible shape.
  SafetensorsWriter(const std::filesystem::path& path, const std::vector<Entry>& entries, const Metadata& metadata = {},
                    OnBytes on_bytes = {});

  /// Throws Error{bad_request} unless `name` was announced with just so many bytes and comes for the first time.
  void put(const std::string& name, std::span<const std::byte> bytes);

  /// The order in which the tensors lie in the file; what cannot be written at any place (a pipe) needs it.
  const std::vector<std::string>& order() const { return order_; }

  /// Puts the file in place. Throws Error{bad_request} when a tensor has not come.
  void commit();

 private:
  struct Slot {
    int64_t offset;  ///< In the file.
    int64_t size;
    bool written;
  };
  OutputFile file_;
  std::map<std::string, Slot> slots_;
  std::vector<std::string> order_;
  OnBytes on_bytes_;
  int64_t done_ = 0, total_ = 0;  ///< Bytes of tensors.
};

/// Writes a whole .safetensors file, atomically.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, TensorView>>& tensors, const Metadata& metadata = {});

}  // namespace lithe::io
