#pragma once

#include <cstdint>

namespace lithe::ops {

/// The whole numbers that rows of x are rounded to. A group of columns shares a scale: its largest magnitude / 32767 or
/// / 127.
enum class RowCodes { int16, int8 };

/// Codes that share a word of 32 bits, and are multiplied at once.
constexpr int64_t codes_in_word(RowCodes codes) {
  return codes == RowCodes::int16 ? 2 : 4;
}

/// Codes of 8 bits are stored plus this.
constexpr int32_t kZeroOfRows = 128;

/// Rounds a group of `count` values to codes, two or four in a word, and returns their scale: NaN if a value is not
/// finite. Then no codes are written. Every vector set gives the same codes.
float round_row(const float* x, int64_t count, RowCodes codes, int32_t* words);

/// The sum of a group of x, which offsets of weights are multiplied with.
float sum_of_group(const float* x, int64_t count);

}  // namespace lithe::ops
