#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/bytes.h"

namespace lithe::io {

enum class Dtype { float64, float32, float16, bfloat16, int64, int32, int16, int8, uint8, boolean };

/// Bytes of one element.
int64_t size_of(Dtype dtype);

/// The name as safetensors spells it: "F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL".
const char* name_of(Dtype dtype);

/// The opposite of name_of; absent for a name that is not in the list.
std::optional<Dtype> dtype_named(std::string_view name);

/// A tensor somewhere in memory: row-major, contiguous, aligned to its dtype, read-only.
struct TensorView {
  Dtype dtype = Dtype::float32;
  std::vector<int64_t> shape;         ///< Empty: a scalar.
  std::span<const std::byte> bytes;   ///< count() * size_of(dtype) bytes.
  std::shared_ptr<const void> owner;  ///< Keeps `bytes` alive: a file mapping or a buffer.
  std::string file;                   ///< Where it came from, for errors.

  int64_t count() const;  ///< Elements.

  /// The elements as T. Throws Error{bad_file} unless the dtype is T's: values<float>() needs float32.
  template <class T>
  std::span<const T> values() const;
};

/// Bytes of a tensor of this shape; absent when a dimension is negative or the product does not fit in 63 bits.
std::optional<int64_t> bytes_of(Dtype dtype, std::span<const int64_t> shape);

/// Replaces bytes that are not aligned to the dtype by a copy that is.
void align(TensorView& tensor);

/// "[2, 3]", for errors; at most 16 sizes.
std::string text_of(std::span<const int64_t> shape);

/// A view of `values`, which are copied. T is one of float, double, int64_t, int32_t, int16_t, int8_t, uint8_t.
template <class T>
TensorView tensor_of(std::vector<int64_t> shape, std::span<const T> values);

}  // namespace lithe::io
