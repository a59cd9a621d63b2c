#include "ops/few_rows_avx512.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/vector_set.h"

#define LITHE_INLINE inline __attribute__((always_inline))

namespace lithe::ops {
namespace {

// 16 rows of 16 words each -> 16 vectors of one word of each row.

LITHE_AVX512 LITHE_INLINE void turn4(__m512i& a, __m512i& b, __m512i& c, __m512i& d) {
  const __m512i ab_low = _mm512_unpacklo_epi32(a, b), ab_high = _mm512_unpackhi_epi32(a, b);
  const __m512i cd_low = _mm512_unpacklo_epi32(c, d), cd_high = _mm512_unpackhi_epi32(c, d);
  a = _mm512_unpacklo_epi64(ab_low, cd_low);
  b = _mm512_unpackhi_epi64(ab_low, cd_low);
  c = _mm512_unpacklo_epi64(ab_high, cd_high);
  d = _mm512_unpackhi_epi64(ab_high, cd_high);
}

/// The same with runs of four words in place of words.
LITHE_AVX512 LITHE_INLINE void turn4_runs(__m512i& a, __m512i& b, __m512i& c, __m512i& d) {
  const __m512i ab_low = _mm512_shuffle_i32x4(a, b, 0x44), ab_high = _mm512_shuffle_i32x4(a, b, 0xEE);
  const __m512i cd_low = _mm512_shuffle_i32x4(c, d, 0x44), cd_high = _mm512_shuffle_i32x4(c, d, 0xEE);
  a = _mm512_shuffle_i32x4(ab_low, cd_low, 0x88);
  b = _mm512_shuffle_i32x4(ab_low, cd_low, 0xDD);
  c = _mm512_shuffle_i32x4(ab_high, cd_high, 0x88);
  d = _mm512_shuffle_i32x4(ab_high, cd_high, 0xDD);
}

LITHE_AVX512 void turn(const StoredRows& from, int32_t* panel) {
  for (int64_t first = 0; first < kPanelRows; first += 16) {
    // All that is read of 16 rows before the next: rows whose distance is a power of two share a few places of the
    // first-level cache, which can't keep lines of 32 of them.
    const char* rows[16];
    for (int64_t r = 0; r < 16; ++r) rows[r] = from.data + std::min(first + r, from.rows - 1) * from.row_bytes;
    int32_t* to = panel + first;
    for (int64_t at = 0; at < from.bytes; at += kRunBytes, to += kRunWords * kPanelRows) {
      const int64_t left = from.bytes - at;
      const __mmask64 mask = left >= kRunBytes ? ~0ULL : (1ULL << left) - 1;
      __m512i v[16];
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r) v[r] = _mm512_maskz_loadu_epi8(mask, rows[r] + at);
      turn4(v[0], v[1], v[2], v[3]);
      turn4(v[4], v[5], v[6], v[7]);
      turn4(v[8], v[9], v[10], v[11]);
      turn4(v[12], v[13], v[14], v[15]);
      turn4_runs(v[0], v[4], v[8], v[12]);
      turn4_runs(v[1], v[5], v[9], v[13]);
      turn4_runs(v[2], v[6], v[10], v[14]);
      turn4_runs(v[3], v[7], v[11], v[15]);
#pragma GCC unroll 16
      for (int w = 0; w < 16; ++w) _mm512_storeu_si512(to + w * kPanelRows, v[w]);
    }
  }
}

/// Part `part` of a word of codes (place_codes says which columns it has).
template <WeightKind kind, RowCodes codes, int part>
LITHE_AVX512 LITHE_INLINE __m512i code_part(__m512i word) {
  if constexpr (kind == WeightKind::int8 && codes == RowCodes::int8)
    return _mm512_xor_si512(word, _mm512_set1_epi8(-128));
  if constexpr (kind == WeightKind::int8) return _mm512_srai_epi16(part == 0 ? _mm512_slli_epi16(word, 8) : word, 8);
  if constexpr (codes == RowCodes::int8)
    return _mm512_and_si512(part == 0 ? word : _mm512_srli_epi16(word, 4), _mm512_set1_epi8(15));
  if constexpr (part == 3) return _mm512_srli_epi16(word, 12);
  constexpr int kShift = part == 0 ? 0 : part == 1 ? 8 : 4;
  return _mm512_and_si512(kShift == 0 ? word : _mm512_srli_epi16(word, kShift), _mm512_set1_epi16(15));
}

/// acc += the products of 16 words. As assembly, since the compiler copies the sums of its own intrinsics to and fro.
template <RowCodes codes>
LITHE_AVX512_VNNI LITHE_INLINE void multiply_add(__m512i& acc, __m512i weights, __m512i x) {
  if constexpr (codes == RowCodes::int8)
    asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(weights), "v"(x));
  else
    asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(weights), "v"(x));
}

/// One part of a word of the panel, times a word of each row of x.
template <WeightKind kind, RowCodes codes, int kRows, int part>
LITHE_AVX512_VNNI LITHE_INLINE void add_part(__m512i (&acc)[kRows][2], __m512i low, __m512i high, const int32_t* x) {
  const __m512i a = code_part<kind, codes, part>(low), b = code_part<kind, codes, part>(high);
#pragma GCC unroll 10
  for (int r = 0; r < kRows; ++r) {
    const __m512i word = _mm512_set1_epi32(x[part * kRows + r]);
    multiply_add<codes>(acc[r][0], a, word);
    multiply_add<codes>(acc[r][1], b, word);
  }
}

/// Adds a group's sums to y. Every loop is unrolled, so that the sums are registers and never an array in memory.
template <int kRows>
LITHE_AVX512_VNNI LITHE_INLINE void add_scaled(const __m512i (&acc)[kRows][2], const CodeColumns& columns, int64_t g,
                                               float* y) {
#pragma GCC unroll 2
  for (int v = 0; v < 2; ++v) {
    const int64_t at = g * kPanelRows + 16 * v;
    const __m512 scales = _mm512_loadu_ps(columns.scales + at);
#pragma GCC unroll 10
    for (int r = 0; r < kRows; ++r) {
      float* const to = y + r * kPanelRows + 16 * v;
      const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(columns.x_scales[g * kRows + r]), scales);
      __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[r][v]), scale, _mm512_loadu_ps(to));
      if (columns.offsets) {
        const __m512 x_sum = _mm512_set1_ps(columns.x_sums[g * kRows + r]);
        sum = _mm512_fmadd_ps(_mm512_loadu_ps(columns.offsets + at), x_sum, sum);
      }
      _mm512_storeu_ps(to, sum);
    }
  }
}

template <WeightKind kind, RowCodes codes, int kRows>
LITHE_AVX512_VNNI void add_codes(const CodeColumns& columns, float* y) {
  constexpr int kParts = static_cast<int>(parts_of(kind, codes));
  const int32_t *panel = columns.panel, *x = columns.x;
  for (int64_t g = 0; g < columns.groups; ++g) {
    __m512i acc[kRows][2];
#pragma GCC unroll 10
    for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = _mm512_set1_epi32(columns.x_starts[g * kRows + r]);
    for (int64_t w = 0; w < columns.words; ++w, panel += kPanelRows, x += kParts * kRows) {
      if (columns.ahead) columns.ahead->fetch();
      const __m512i low = _mm512_loadu_si512(panel), high = _mm512_loadu_si512(panel + 16);
      add_part<kind, codes, kRows, 0>(acc, low, high, x);
      if constexpr (kParts > 1) add_part<kind, codes, kRows, 1>(acc, low, high, x);
      if constexpr (kParts > 2) add_part<kind, codes, kRows, 2>(acc, low, high, x);
      if constexpr (kParts > 3) add_part<kind, codes, kRows, 3>(acc, low, high, x);
    }
    // Without this the compiler keeps y in registers from group to group, and has none left for the sums.
    asm volatile("" ::: "memory");
    add_scaled<kRows>(acc, columns, g, y);
  }
}

/// Part `part` of a word of a float type: the number of its lower or its upper half, or the word itself.
template <WeightKind kind, int part>
LITHE_AVX512 LITHE_INLINE __m512 float_part(__m512i word) {
  if constexpr (kind == WeightKind::float32) return _mm512_castsi512_ps(word);
  if constexpr (kind == WeightKind::float16)
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(part == 0 ? word : _mm512_srli_epi32(word, 16)));
  return _mm512_castsi512_ps(part == 0 ? _mm512_slli_epi32(word, 16)
                                       : _mm512_andnot_si512(_mm512_set1_epi32(0xFFFF), word));
}

template <WeightKind kind, int kRows, int part>
LITHE_AVX512 LITHE_INLINE void add_part(__m512 (&acc)[kRows][2], __m512i low, __m512i high, const float* x) {
  const __m512 a = float_part<kind, part>(low), b = float_part<kind, part>(high);
#pragma GCC unroll 10
  for (int r = 0; r < kRows; ++r) {
    const __m512 value = _mm512_set1_ps(x[part * kRows + r]);
    acc[r][0] = _mm512_fmadd_ps(a, value, acc[r][0]);
    acc[r][1] = _mm512_fmadd_ps(b, value, acc[r][1]);
  }
}

/// The sums start at 0 and are added to y at the end, so that rounding grows with the columns of a part of the product.
template <WeightKind kind, int kRows>
LITHE_AVX512 void add_floats(const FloatColumns& columns, float* y) {
  constexpr int kParts = static_cast<int>(parts_of(kind, RowCodes::int16));
  const int32_t* panel = columns.panel;
  const float* x = columns.x;
  __m512 acc[kRows][2];
#pragma GCC unroll 10
  for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = _mm512_setzero_ps();
  for (int64_t w = 0; w < columns.words; ++w, panel += kPanelRows, x += kParts * kRows) {
    if (columns.ahead) columns.ahead->fetch();
    const __m512i low = _mm512_loadu_si512(panel), high = _mm512_loadu_si512(panel + 16);
    add_part<kind, kRows, 0>(acc, low, high, x);
    if constexpr (kParts > 1) add_part<kind, kRows, 1>(acc, low, high, x);
  }
#pragma GCC unroll 10
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      float* const to = y + r * kPanelRows + 16 * v;
      _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), acc[r][v]));
    }
  }
}

/// 10 rows by two vectors fill 20 of the 32 registers; the rest holds the panel's words and their parts.
constexpr int kMostRows = 10;
using Rows = std::make_integer_sequence<int, kMostRows>;

using AddCodes = void (*)(const CodeColumns& columns, float* y);
using AddFloats = void (*)(const FloatColumns& columns, float* y);

template <WeightKind kind, RowCodes codes, int... kRows>
constexpr std::array<AddCodes, kMostRows> code_table(std::integer_sequence<int, kRows...>) {
  return {add_codes<kind, codes, kRows + 1>...};
}
template <WeightKind kind, int... kRows>
constexpr std::array<AddFloats, kMostRows> float_table(std::integer_sequence<int, kRows...>) {
  return {add_floats<kind, kRows + 1>...};
}

template <WeightKind kind, RowCodes codes>
void add_codes_of(const CodeColumns& columns, float* y) {
  static constexpr auto kTable = code_table<kind, codes>(Rows());
  kTable[static_cast<size_t>(columns.rows - 1)](columns, y);
}

void dispatch_codes(const CodeColumns& columns, float* y) {
  const bool pairs = columns.codes == RowCodes::int16;
  if (columns.kind == WeightKind::int8)
    return pairs ? add_codes_of<WeightKind::int8, RowCodes::int16>(columns, y)
                 : add_codes_of<WeightKind::int8, RowCodes::int8>(columns, y);
  return pairs ? add_codes_of<WeightKind::int4, RowCodes::int16>(columns, y)
               : add_codes_of<WeightKind::int4, RowCodes::int8>(columns, y);
}

void dispatch_floats(const FloatColumns& columns, float* y) {
  static constexpr auto kFloat = float_table<WeightKind::float32>(Rows());
  static constexpr auto kBfloat = float_table<WeightKind::bfloat16>(Rows());
  static constexpr auto kHalf = float_table<WeightKind::float16>(Rows());
  const auto& table = columns.kind == WeightKind::float32    ? kFloat
                      : columns.kind == WeightKind::bfloat16 ? kBfloat
                                                             : kHalf;
  table[static_cast<size_t>(columns.rows - 1)](columns, y);
}

constexpr FewRowsKernel kKernel{kMostRows, kMostRows, turn, dispatch_codes, dispatch_floats};

}  // namespace

const FewRowsKernel& few_rows_avx512() {
  return kKernel;
}

}  // namespace lithe::ops
#endif
