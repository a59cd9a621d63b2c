#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace lithe::io {

/// Read-only memory together with what keeps it alive (a mapping, a buffer) and the file it came from, for errors.
struct Bytes {
  std::span<const std::byte> span;
  std::shared_ptr<const void> owner;
  std::string file;

  /// The same owner, fewer bytes. The caller has checked the range.
  Bytes slice(std::size_t offset, std::size_t size) const { return {span.subspan(offset, size), owner, file}; }
};

/// Writable memory of `size` bytes, aligned to 64, not initialised. Throws Error{no_memory}.
std::shared_ptr<std::byte> allocate_aligned(std::size_t size);

/// The bytes themselves if they are aligned to `alignment`, else a copy that is.
Bytes aligned(Bytes bytes, std::size_t alignment);

/// A little-endian number at `offset`. The caller has checked the range.
template <class T>
T little_endian(std::span<const std::byte> bytes, std::size_t offset) {
  uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value |= std::to_integer<uint64_t>(bytes[offset + i]) << (8 * i);
  return static_cast<T>(value);
}

/// a * b and a + b; false when the result does not fit or an operand is negative.
bool multiply(int64_t a, int64_t b, int64_t& product);
bool add(int64_t a, int64_t b, int64_t& sum);

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace lithe::io
