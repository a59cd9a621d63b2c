#include "io/tensor_view.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"

namespace lithe::io {
namespace {

struct Row {
  Dtype dtype;
  int64_t size;
  const char* name;
};

// In the order of the enum.
constexpr std::array<Row, 10> kDtypes{{{Dtype::float64, 8, "F64"},
                                       {Dtype::float32, 4, "F32"},
                                       {Dtype::float16, 2, "F16"},
                                       {Dtype::bfloat16, 2, "BF16"},
                                       {Dtype::int64, 8, "I64"},
                                       {Dtype::int32, 4, "I32"},
                                       {Dtype::int16, 2, "I16"},
                                       {Dtype::int8, 1, "I8"},
                                       {Dtype::uint8, 1, "U8"},
                                       {Dtype::boolean, 1, "BOOL"}}};

template <class T>
constexpr Dtype kDtypeOf = Dtype::boolean;
template <>
constexpr Dtype kDtypeOf<double> = Dtype::float64;
template <>
constexpr Dtype kDtypeOf<float> = Dtype::float32;
template <>
constexpr Dtype kDtypeOf<int64_t> = Dtype::int64;
template <>
constexpr Dtype kDtypeOf<int32_t> = Dtype::int32;
template <>
constexpr Dtype kDtypeOf<int16_t> = Dtype::int16;
template <>
constexpr Dtype kDtypeOf<int8_t> = Dtype::int8;
template <>
constexpr Dtype kDtypeOf<uint8_t> = Dtype::uint8;

}  // namespace

int64_t size_of(Dtype dtype) {
  return kDtypes[static_cast<std::size_t>(dtype)].size;
}

const char* name_of(Dtype dtype) {
  return kDtypes[static_cast<std::size_t>(dtype)].name;
}

std::optional<Dtype> dtype_named(std::string_view name) {
  for (const Row& row : kDtypes) {
    if (name == row.name) return row.dtype;
  }
  return std::nullopt;
}

int64_t TensorView::count() const {
  return static_cast<int64_t>(bytes.size()) / size_of(dtype);
}

std::optional<int64_t> bytes_of(Dtype dtype, std::span<const int64_t> shape) {
  int64_t total = size_of(dtype);
  bool fits = true;
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    empty = empty || size == 0;
    fits = fits && multiply(total, size, total);
  }
  if (empty) return 0;
  return fits ? std::optional(total) : std::nullopt;
}

void align(TensorView& tensor) {
  Bytes data = aligned({tensor.bytes, tensor.owner, {}}, static_cast<std::size_t>(size_of(tensor.dtype)));
  tensor.bytes = data.span;
  tensor.owner = std::move(data.owner);
}

std::string text_of(std::span<const int64_t> shape) {
  constexpr std::size_t kMost = 16;
  std::string out = "[";
  for (std::size_t i = 0; i < std::min(shape.size(), kMost); ++i) out += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return out + (shape.size() > kMost ? ", ...]" : "]");
}

template <class T>
std::span<const T> TensorView::values() const {
  require(dtype == kDtypeOf<T>, Fault::bad_file, file, ": a tensor is ", name_of(dtype), ", expected ",
          name_of(kDtypeOf<T>));
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

template <class T>
TensorView tensor_of(std::vector<int64_t> shape, std::span<const T> values) {
  require(bytes_of(kDtypeOf<T>, shape) == static_cast<int64_t>(values.size_bytes()), Fault::internal,
          "a tensor of shape ", text_of(shape), " was given ", values.size(), " values");
  const std::shared_ptr<std::byte> copy = allocate_aligned(values.size_bytes());
  if (!values.empty()) std::memcpy(copy.get(), values.data(), values.size_bytes());
  return {kDtypeOf<T>, std::move(shape), {copy.get(), values.size_bytes()}, copy, "memory"};
}

#define LITHE_IO_INSTANTIATE(T)                           \
  template std::span<const T> TensorView::values() const; \
  template TensorView tensor_of<T>(std::vector<int64_t>, std::span<const T>);
LITHE_IO_INSTANTIATE(double)
LITHE_IO_INSTANTIATE(float)
LITHE_IO_INSTANTIATE(int64_t)
LITHE_IO_INSTANTIATE(int32_t)
LITHE_IO_INSTANTIATE(int16_t)
LITHE_IO_INSTANTIATE(int8_t)
LITHE_IO_INSTANTIATE(uint8_t)
#undef LITHE_IO_INSTANTIATE

}  // namespace lithe::io
