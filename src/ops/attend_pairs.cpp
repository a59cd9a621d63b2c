#include "ops/attend_pairs.h"

#include <algorithm>
#include <array>
#include <limits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/vector_set.h"

namespace lithe::ops {

#if defined(__x86_64__)
namespace {

#define LITHE_INLINED [[gnu::always_inline]] LITHE_AVX512_BF16 inline

constexpr int64_t kLanes = 16, kVectors = kBlockRows / kLanes;
/// Query rows that share each load of keys and values: as many as the registers hold.
constexpr int kMostRows = 6;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

LITHE_INLINED __m512 load(const float* at) {
  return _mm512_loadu_ps(at);
}
LITHE_INLINED __m512i load(const uint32_t* at) {
  return _mm512_loadu_si512(at);
}

/// sum + both products of each pair.
LITHE_INLINED __m512 add_products(__m512 sum, __m512i pairs, __m512i factors) {
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(pairs), reinterpret_cast<__m512bh>(factors));
}

LITHE_INLINED __mmask32 first_lanes(int64_t count) {
  return count >= 32 ? ~__mmask32{0} : (__mmask32{1} << std::max<int64_t>(count, 0)) - 1;
}

/// out[i] = the pair (first[i], second[i]), or (first[i], 0) if there is no second row.
LITHE_INLINED void pair_up(const uint16_t* first, const uint16_t* second, bool has_second, int64_t count,
                           uint32_t* out) {
  static constexpr std::array kOrder = [] {
    std::array<uint16_t, 64> order{};
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<uint16_t>(i / 2 + (i % 2) * 32);
    return order;
  }();
  const __m512i low = _mm512_loadu_si512(kOrder.data()), high = _mm512_loadu_si512(kOrder.data() + 32);
  for (int64_t i = 0; i < count; i += 32) {
    const __mmask32 some = first_lanes(count - i);
    const __m512i a = _mm512_maskz_loadu_epi16(some, first + i);
    const __m512i b = _mm512_maskz_loadu_epi16(has_second ? some : 0, second + i);
    _mm512_mask_storeu_epi32(out + i, static_cast<__mmask16>(some), _mm512_permutex2var_epi16(a, low, b));
    _mm512_mask_storeu_epi32(out + i + kLanes, static_cast<__mmask16>(some >> 16),
                             _mm512_permutex2var_epi16(a, high, b));
  }
}

/// A block in which both factors of a pair lie side by side.
struct PairedBlock {
  uint32_t* keys = nullptr;    // [pairs_of(width), kBlockRows], each of two columns
  uint32_t* values = nullptr;  // [kBlockRows / 2, width], each of two keys
};

/// What is undefined in a block becomes 0 if it shares a pair with what is defined.
LITHE_AVX512_BF16 PairedBlock pair_block(const HeadBlock& block, int64_t width, float* scratch) {
  const auto* stored = static_cast<const uint16_t*>(block.data);
  auto* const out = reinterpret_cast<uint32_t*>(scratch);
  const PairedBlock paired{out, out + pairs_of(width) * kBlockRows};
  for (int64_t i = 0; i < width; i += 2) {
    const uint16_t* first = stored + i * kBlockRows;
    pair_up(first, first + kBlockRows, i + 1 < width, kBlockRows, paired.keys + i / 2 * kBlockRows);
  }
  const uint16_t* values = stored + kBlockRows * width;
  for (int64_t j = 0; j < block.rows; j += 2) {
    const uint16_t* first = values + j * width;
    pair_up(first, first + width, j + 1 < block.rows, width, paired.values + j / 2 * width);
  }
  return paired;
}

/// exp(x) for x <= 0, exactly 0 far below. NaN stays NaN.
LITHE_INLINED __m512 exp_of(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(-200.0f), x);  // of a number and NaN, the instruction returns the second
  const __m512 n = _mm512_roundscale_ps(x * _mm512_set1_ps(1.44269504f), _MM_FROUND_TO_NEAREST_INT);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4f), r);
  __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(1.9875691500e-4f), _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
  p = _mm512_fmadd_ps(p, r * r, r + _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

/// The keys of a block that a query sees: [begin, end).
struct Seen {
  int64_t begin = kBlockRows, end = 0;
};

LITHE_INLINED Seen seen_of(const Visible& visible, const HeadBlock& block) {
  return {std::clamp<int64_t>(visible.begin - block.first, 0, block.rows),
          std::clamp<int64_t>(visible.end - block.first, 0, block.rows)};
}

/// Brings what one row has summed so far to a new peak.
LITHE_INLINED void move_peak(const AttendTile& tile, int64_t row, float peak) {
  const __m512 factor = exp_of(_mm512_set1_ps(tile.peak[row] - peak));
  tile.peak[row] = peak;
  tile.sum[row] *= _mm512_cvtss_f32(factor);
  float* out = tile.out + row * tile.width;
  for (int64_t i = 0; i < tile.width; i += kLanes) {
    const auto some = static_cast<__mmask16>(first_lanes(tile.width - i));
    _mm512_mask_storeu_ps(out + i, some, _mm512_maskz_loadu_ps(some, out + i) * factor);
  }
}

/// Turns the scores of one row into weights exp(score - peak), 0 for keys that it does not see.
LITHE_INLINED void soften(__m512 (&scores)[kVectors], const Seen& seen, const AttendTile& tile, int64_t row,
                          uint32_t* weights) {
  const uint64_t below_end = seen.end == 64 ? ~uint64_t{0} : (uint64_t{1} << seen.end) - 1;
  const uint64_t in = below_end & (~uint64_t{0} << seen.begin);
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v)
    scores[v] = _mm512_mask_mov_ps(_mm512_set1_ps(-kInfinity), static_cast<__mmask16>(in >> (v * kLanes)), scores[v]);
  const float here =
      _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(scores[0], scores[1]), _mm512_max_ps(scores[2], scores[3])));
  if (tile.peak[row] < here) move_peak(tile, row, here);
  const __m512 peak = _mm512_set1_ps(tile.peak[row]);
  __m512 sum = {};
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; v += 2) {
    const __m512 low = exp_of(scores[v] - peak), high = exp_of(scores[v + 1] - peak);
    const auto pairs = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
    sum = add_products(sum, pairs, _mm512_set1_epi32(0x3F803F80));  // times 1
    _mm512_storeu_si512(weights + v * kLanes / 2, pairs);
  }
  tile.sum[row] += _mm512_reduce_add_ps(sum);
}

/// out[r][c] += sum over the seen keys of weights[r][j] * values[j][c], for kColumns vectors of columns; of a single
/// vector, only the lanes `some`.
template <int kRows, int kColumns>
LITHE_INLINED void weigh_columns(const uint32_t* weights, const Seen& seen, const uint32_t* values, int64_t width,
                                 __mmask16 some, float* out) {
  __m512 sum[kRows][kColumns];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kColumns; ++v) {
      const float* at = out + r * width + v * kLanes;
      sum[r][v] = kColumns == 1 ? _mm512_maskz_loadu_ps(some, at) : load(at);
    }
  }
  for (int64_t pair = seen.begin / 2; pair < (seen.end + 1) / 2; ++pair) {
    __m512i value[kColumns];
#pragma GCC unroll 8
    for (int v = 0; v < kColumns; ++v) {
      const uint32_t* at = values + pair * width + v * kLanes;
      value[v] = kColumns == 1 ? _mm512_maskz_loadu_epi32(some, at) : load(at);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512i weight = _mm512_set1_epi32(static_cast<int>(weights[r * kBlockRows / 2 + pair]));
#pragma GCC unroll 8
      for (int v = 0; v < kColumns; ++v) sum[r][v] = add_products(sum[r][v], value[v], weight);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kColumns; ++v) _mm512_mask_storeu_ps(out + r * width + v * kLanes, some, sum[r][v]);
  }
}

/// scores[r] = the products of query r of the group with all keys.  queries: [kRows, pairs, 2]
template <int kRows>
LITHE_INLINED void score_rows(const uint32_t* queries, int64_t pairs, const uint32_t* keys,
                              __m512 (&scores)[kRows][kVectors]) {
  for (int64_t i = 0; i < pairs; ++i) {
    __m512i key[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) key[v] = load(keys + i * kBlockRows + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int part = 0; part < 2; ++part) {
        const __m512i query = _mm512_set1_epi32(static_cast<int>(queries[2 * (r * pairs + i) + part]));
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) scores[r][v] = add_products(scores[r][v], key[v], query);
      }
    }
  }
}

/// Rows [first, first + kRows) of a tile.
template <int kRows>
LITHE_AVX512_BF16 void attend_rows(const AttendTile& tile, int64_t first, const PairedBlock& paired,
                                   const HeadBlock& block) {
  const int64_t pairs = pairs_of(tile.width), width = tile.width;
  __m512 scores[kRows][kVectors] = {};
  score_rows<kRows>(tile.query_pairs + 2 * first * pairs, pairs, paired.keys, scores);
  alignas(64) uint32_t weights[kRows * kBlockRows / 2];
  Seen any;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const Seen seen = seen_of(tile.visible[first + r], block);
    uint32_t* row_weights = weights + r * kBlockRows / 2;
    if (seen.begin >= seen.end) {
      std::fill_n(row_weights, kBlockRows / 2, 0);
      continue;
    }
    soften(scores[r], seen, tile, first + r, row_weights);
    any = {std::min(any.begin, seen.begin), std::max(any.end, seen.end)};
  }
  if (any.begin >= any.end) return;
  float* out = tile.out + first * width;
  int64_t column = 0;
  for (; column + 4 * kLanes <= width; column += 4 * kLanes)
    weigh_columns<kRows, 4>(weights, any, paired.values + column, width, ~__mmask16{0}, out + column);
  for (; column < width; column += kLanes)
    weigh_columns<kRows, 1>(weights, any, paired.values + column, width,
                            static_cast<__mmask16>(first_lanes(width - column)), out + column);
}

LITHE_AVX512_BF16 void attend(const AttendTile& tile, const HeadBlock& block) {
  const PairedBlock paired = pair_block(block, tile.width, tile.widened);
  int64_t row = 0;
  for (; row + kMostRows <= tile.rows; row += kMostRows) attend_rows<kMostRows>(tile, row, paired, block);
  switch (tile.rows - row) {
    case 5:
      return attend_rows<5>(tile, row, paired, block);
    case 4:
      return attend_rows<4>(tile, row, paired, block);
    case 3:
      return attend_rows<3>(tile, row, paired, block);
    case 2:
      return attend_rows<2>(tile, row, paired, block);
    case 1:
      return attend_rows<1>(tile, row, paired, block);
    default:
      return;
  }
}

/// 16 columns of a query: their pairs in bfloat16, each before the pair of what is left.
LITHE_INLINED void split_columns(__m512 x, int64_t pairs, uint32_t* out) {
  const auto high = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
  const __m512 widened = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
  const auto low = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x - widened));
  const __m512i both = _mm512_or_si512(_mm512_cvtepu32_epi64(high), _mm512_slli_epi64(_mm512_cvtepu32_epi64(low), 32));
  _mm512_mask_storeu_epi32(out, static_cast<__mmask16>(first_lanes(2 * pairs)), both);
}

LITHE_AVX512_BF16 void split(const AttendTile& tile) {
  const int64_t pairs = pairs_of(tile.width);
  for (int64_t row = 0; row < tile.rows; ++row) {
    const float* from = tile.queries + row * tile.width;
    uint32_t* to = tile.query_pairs + 2 * row * pairs;
    for (int64_t i = 0; i < tile.width; i += kLanes) {
      const auto some = static_cast<__mmask16>(first_lanes(tile.width - i));
      split_columns(_mm512_maskz_loadu_ps(some, from + i), pairs - i / 2, to + i);
    }
  }
}

}  // namespace

bool attends_in_pairs(int64_t rows) {
  return rows > kMostRows && vector_set() >= VectorSet::avx512_bf16;
}

void split_queries(const AttendTile& tile) {
  split(tile);
}

void attend_to_pairs(const AttendTile& tile, const HeadBlock& block) {
  attend(tile, block);
}

#else

bool attends_in_pairs(int64_t) {
  return false;
}

void split_queries(const AttendTile&) {}

void attend_to_pairs(const AttendTile&, const HeadBlock&) {}

#endif

}  // namespace lithe::ops
