#include "io/bytes.h"

#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace lithe::io {
namespace {

constexpr std::size_t kAlignment = 64;

}  // namespace

std::shared_ptr<std::byte> allocate_aligned(std::size_t size) {
  const std::size_t rounded = (size / kAlignment + 1) * kAlignment;
  void* memory = rounded > size ? std::aligned_alloc(kAlignment, rounded) : nullptr;
  require(memory != nullptr, Fault::no_memory, "not enough memory for a buffer of ", size, " bytes");
  return {static_cast<std::byte*>(memory), [](std::byte* begin) { std::free(begin); }};
}

Bytes aligned(Bytes bytes, std::size_t alignment) {
  if (reinterpret_cast<std::uintptr_t>(bytes.span.data()) % alignment == 0) return bytes;
  const std::shared_ptr<std::byte> copy = allocate_aligned(bytes.span.size());
  if (!bytes.span.empty()) std::memcpy(copy.get(), bytes.span.data(), bytes.span.size());
  return {{copy.get(), bytes.span.size()}, copy, std::move(bytes.file)};
}

bool multiply(int64_t a, int64_t b, int64_t& product) {
  return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, &product);
}

bool add(int64_t a, int64_t b, int64_t& sum) {
  return a >= 0 && b >= 0 && !__builtin_add_overflow(a, b, &sum);
}

}  // namespace lithe::io
