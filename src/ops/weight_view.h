#pragma once

#include <cstdint>

namespace lithe::ops {

/// How weights lie in memory: float32, the words of bfloat16 or IEEE float16, or codes of 8 or 4 bits in groups.
enum class WeightKind { float32, bfloat16, float16, int8, int4 };

constexpr int64_t bits_of(WeightKind kind) {
  switch (kind) {
    case WeightKind::float32:
      return 32;
    case WeightKind::bfloat16:
    case WeightKind::float16:
      return 16;
    case WeightKind::int8:
      return 8;
    case WeightKind::int4:
      return 4;
  }
  return 0;
}

/// Codes are read this many at a time. Of int4, byte i of such a block holds code i in its low half and code i + 16 in
/// its high half.
constexpr int64_t kCodeBlock = 32;

/// A matrix of weights, [outs, width], row-major. Codes stand for scale * code + offset, with a scale and an offset for
/// each group of columns; a code of int8 is a signed byte, one of int4 is a half byte less 8. The width of int4 and its
/// group are multiples of kCodeBlock.
struct WeightView {
  WeightKind kind = WeightKind::float32;
  const void* data = nullptr;
  int64_t outs = 0, width = 0;
  int64_t group = 0;               ///< Columns; 0 if the kind has no codes.
  const float* scales = nullptr;   ///< [outs, groups]
  const float* offsets = nullptr;  ///< [outs, groups]; null: all are 0.

  /// Bytes that so many neighbouring weights take.
  int64_t bytes(int64_t count) const { return count * bits_of(kind) / 8; }
  int64_t groups() const { return group == 0 ? 0 : (width + group - 1) / group; }
  /// The address of a weight; of int4, of the block whose first column it is.
  const char* at(int64_t out, int64_t column) const {
    return static_cast<const char*>(data) + bytes(out * width + column);
  }
};

}  // namespace lithe::ops
