#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include "io/bytes.h"

// The kinds of values in the metadata of a GGUF file, for those who parse and who read them.
namespace lithe::io {

/// What the format calls the types of metadata.
enum class GgufKind : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };

/// Bytes of a value of a fixed size; 0 for texts, arrays and types that are not known.
inline std::size_t bytes_of_kind(uint32_t type) {
  constexpr std::array<std::size_t, 13> kSizes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return type < kSizes.size() ? kSizes[type] : 0;
}

inline bool is_whole(uint32_t type) {
  return bytes_of_kind(type) > 0 && static_cast<GgufKind>(type) != GgufKind::f32 &&
         static_cast<GgufKind>(type) != GgufKind::f64 && static_cast<GgufKind>(type) != GgufKind::boolean;
}

/// A whole number of the file; what is beyond 63 bits becomes the largest number that is not.
inline int64_t whole_at(std::span<const std::byte> bytes, std::size_t at, uint32_t type) {
  switch (static_cast<GgufKind>(type)) {
    case GgufKind::u8:
      return little_endian<uint8_t>(bytes, at);
    case GgufKind::i8:
      return little_endian<int8_t>(bytes, at);
    case GgufKind::u16:
      return little_endian<uint16_t>(bytes, at);
    case GgufKind::i16:
      return little_endian<int16_t>(bytes, at);
    case GgufKind::u32:
      return little_endian<uint32_t>(bytes, at);
    case GgufKind::i32:
      return little_endian<int32_t>(bytes, at);
    case GgufKind::u64:
      return static_cast<int64_t>(std::min<uint64_t>(little_endian<uint64_t>(bytes, at), INT64_MAX));
    default:
      return little_endian<int64_t>(bytes, at);
  }
}

inline double number_at(std::span<const std::byte> bytes, std::size_t at, uint32_t type) {
  if (static_cast<GgufKind>(type) == GgufKind::f32) return std::bit_cast<float>(little_endian<uint32_t>(bytes, at));
  if (static_cast<GgufKind>(type) == GgufKind::f64) return std::bit_cast<double>(little_endian<uint64_t>(bytes, at));
  return static_cast<double>(whole_at(bytes, at, type));
}

}  // namespace lithe::io
