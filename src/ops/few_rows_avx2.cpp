#include "ops/few_rows_avx2.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/vector_set.h"

#define LITHE_INLINE inline __attribute__((always_inline))

namespace lithe::ops {
namespace {

// 8 rows of 8 words each -> 8 vectors of one word of each row.

LITHE_AVX2 LITHE_INLINE void turn4(__m256i& a, __m256i& b, __m256i& c, __m256i& d) {
  const __m256i ab_low = _mm256_unpacklo_epi32(a, b), ab_high = _mm256_unpackhi_epi32(a, b);
  const __m256i cd_low = _mm256_unpacklo_epi32(c, d), cd_high = _mm256_unpackhi_epi32(c, d);
  a = _mm256_unpacklo_epi64(ab_low, cd_low);
  b = _mm256_unpackhi_epi64(ab_low, cd_low);
  c = _mm256_unpacklo_epi64(ab_high, cd_high);
  d = _mm256_unpackhi_epi64(ab_high, cd_high);
}

LITHE_AVX2 LITHE_INLINE void turn2_halves(__m256i& a, __m256i& b) {
  const __m256i low = _mm256_permute2x128_si256(a, b, 0x20), high = _mm256_permute2x128_si256(a, b, 0x31);
  a = low;
  b = high;
}

/// Words [word, word + 8) of 8 rows.
LITHE_AVX2 LITHE_INLINE void turn8(const char* const* rows, int64_t word, int32_t* panel) {
  __m256i v[8];
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) v[r] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[r] + 4 * word));
  turn4(v[0], v[1], v[2], v[3]);
  turn4(v[4], v[5], v[6], v[7]);
  turn2_halves(v[0], v[4]);
  turn2_halves(v[1], v[5]);
  turn2_halves(v[2], v[6]);
  turn2_halves(v[3], v[7]);
#pragma GCC unroll 8
  for (int w = 0; w < 8; ++w) _mm256_storeu_si256(reinterpret_cast<__m256i*>(panel + (word + w) * kPanelRows), v[w]);
}

/// The end of rows that is not a whole run is read from copies.
LITHE_AVX2 void turn(const StoredRows& from, int32_t* panel) {
  for (int64_t first = 0; first < kPanelRows; first += 8) {
    char ends[8][kRunBytes] = {};
    int32_t* to = panel + first;
    for (int64_t at = 0; at < from.bytes; at += kRunBytes, to += kRunWords * kPanelRows) {
      const char* rows[8];
      for (int64_t r = 0; r < 8; ++r) {
        rows[r] = from.data + std::min(first + r, from.rows - 1) * from.row_bytes + at;
        if (from.bytes - at >= kRunBytes) continue;
        std::copy_n(rows[r], from.bytes - at, ends[r]);
        rows[r] = ends[r];
      }
      turn8(rows, 0, to);
      turn8(rows, 8, to);
    }
  }
}

/// As that of AVX-512, for codes of x of 16 bits.
template <WeightKind kind, int part>
LITHE_AVX2 LITHE_INLINE __m256i code_part(__m256i word) {
  if constexpr (kind == WeightKind::int8) return _mm256_srai_epi16(part == 0 ? _mm256_slli_epi16(word, 8) : word, 8);
  if constexpr (part == 3) return _mm256_srli_epi16(word, 12);
  constexpr int kShift = part == 0 ? 0 : part == 1 ? 8 : 4;
  return _mm256_and_si256(kShift == 0 ? word : _mm256_srli_epi16(word, kShift), _mm256_set1_epi16(15));
}

template <WeightKind kind, int kRows, int part>
LITHE_AVX2 LITHE_INLINE void add_part(__m256i (&acc)[kRows][2], __m256i low, __m256i high, const int32_t* x) {
  const __m256i a = code_part<kind, part>(low), b = code_part<kind, part>(high);
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const __m256i word = _mm256_set1_epi32(x[part * kRows + r]);
    acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(a, word));
    acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(b, word));
  }
}

/// 16 rows of the panel, from `first` on.
template <WeightKind kind, int kRows>
LITHE_AVX2 void add_some(const CodeColumns& columns, int64_t first, float* y) {
  constexpr int kParts = static_cast<int>(parts_of(kind, RowCodes::int16));
  const int32_t *panel = columns.panel + first, *x = columns.x;
  for (int64_t g = 0; g < columns.groups; ++g) {
    __m256i acc[kRows][2];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = _mm256_set1_epi32(columns.x_starts[g * kRows + r]);
    for (int64_t w = 0; w < columns.words; ++w, panel += kPanelRows, x += kParts * kRows) {
      if (first == 0 && columns.ahead) columns.ahead->fetch();
      const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel));
      const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel + 8));
      add_part<kind, kRows, 0>(acc, low, high, x);
      add_part<kind, kRows, 1>(acc, low, high, x);
      if constexpr (kParts > 2) {
        add_part<kind, kRows, 2>(acc, low, high, x);
        add_part<kind, kRows, 3>(acc, low, high, x);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        const int64_t at = g * kPanelRows + first + 8 * v;
        float* const to = y + r * kPanelRows + first + 8 * v;
        const __m256 x_scale = _mm256_set1_ps(columns.x_scales[g * kRows + r]);
        const __m256 scale = _mm256_mul_ps(x_scale, _mm256_loadu_ps(columns.scales + at));
        __m256 sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[r][v]), scale, _mm256_loadu_ps(to));
        if (columns.offsets) {
          const __m256 x_sum = _mm256_set1_ps(columns.x_sums[g * kRows + r]);
          sum = _mm256_fmadd_ps(_mm256_loadu_ps(columns.offsets + at), x_sum, sum);
        }
        _mm256_storeu_ps(to, sum);
      }
    }
  }
}

/// 4 rows by two vectors fill 8 of the 16 registers; the rest holds the panel's words and their parts.
constexpr int kMostRows = 4;

using Add = void (*)(const CodeColumns& columns, int64_t first, float* y);

template <WeightKind kind, int... kRows>
constexpr std::array<Add, kMostRows> table(std::integer_sequence<int, kRows...>) {
  return {add_some<kind, kRows + 1>...};
}

void add_codes(const CodeColumns& columns, float* y) {
  using Rows = std::make_integer_sequence<int, kMostRows>;
  static constexpr auto kInt8 = table<WeightKind::int8>(Rows()), kInt4 = table<WeightKind::int4>(Rows());
  const Add add = (columns.kind == WeightKind::int8 ? kInt8 : kInt4)[static_cast<size_t>(columns.rows - 1)];
  for (int64_t first = 0; first < kPanelRows; first += 16) add(columns, first, y);
}

constexpr FewRowsKernel kKernel{kMostRows, 0, turn, add_codes, nullptr};

}  // namespace

const FewRowsKernel& few_rows_avx2() {
  return kKernel;
}

}  // namespace lithe::ops
#endif
