#include "ops/weight_kernels.h"

#include <algorithm>
#include <array>
#include <bit>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/vector_set.h"
#include "ops/bfloat16.h"
#include "ops/dots.h"
#include "ops/low_bit_kernels.h"
#include "ops/prefetch.h"
#include "ops/sum_avx2.h"

namespace lithe::ops {
namespace {

/// IEEE 754 binary16, subnormals and infinities included.
float widen_float16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16, exponent = (bits >> 10) & 31u,
                 mantissa = bits & 1023u;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 5.9604644775390625e-8f;  // 2^-24
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

/// Weight number i at an address.
template <WeightKind kind>
float weight_at(const void* weights, int64_t i) {
  if constexpr (kind == WeightKind::float32) {
    return static_cast<const float*>(weights)[i];
  } else {
    const uint16_t bits = static_cast<const uint16_t*>(weights)[i];
    return kind == WeightKind::bfloat16 ? widen_bfloat16(bits) : widen_float16(bits);
  }
}

template <WeightKind kind>
const void* skip(const void* weights, int64_t count) {
  return static_cast<const char*>(weights) + count * (bits_of(kind) / 8);
}

template <WeightKind kind>
void widen_plain(const void* weights, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = weight_at<kind>(weights, i);
}

/// x: rows of `width` floats; results stand `stride` apart.
template <WeightKind kind>
void dot_plain(const void* weights, const float* x, int64_t rows, int64_t width, float* out, int64_t stride) {
  for (int64_t row = 0; row < rows; ++row, x += width) {
    float sum = 0;
    for (int64_t i = 0; i < width; ++i) sum += weight_at<kind>(weights, i) * x[i];
    out[row * stride] = sum;
  }
}

#if defined(__x86_64__)
template <WeightKind kind>
LITHE_AVX2 inline __m256 load8(const void* weights, int64_t i) {
  if constexpr (kind == WeightKind::float32) return _mm256_loadu_ps(static_cast<const float*>(weights) + i);
  const __m128i words = _mm_loadu_si128(static_cast<const __m128i*>(skip<kind>(weights, i)));
  if constexpr (kind == WeightKind::float16) return _mm256_cvtph_ps(words);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
}

template <WeightKind kind>
LITHE_AVX2 void widen_avx2(const void* weights, int64_t count, float* out) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(out + i, load8<kind>(weights, i));
  widen_plain<kind>(skip<kind>(weights, i), count - i, out + i);
}

/// kOuts neighbouring weight rows with kRows rows of x, so that x is read once for all of them.
template <WeightKind kind, int kRows, int kOuts>
LITHE_AVX2 void dot_avx2(const void* weights, const float* x, int64_t width, float* out, int64_t stride) {
  __m256 sum[kRows][kOuts];
  for (int r = 0; r < kRows; ++r) {
    for (int o = 0; o < kOuts; ++o) sum[r][o] = _mm256_setzero_ps();
  }
  int64_t i = 0;
  for (; i + 8 <= width; i += 8) {
    __m256 w[kOuts];
    for (int o = 0; o < kOuts; ++o) w[o] = load8<kind>(weights, o * width + i);
    for (int r = 0; r < kRows; ++r) {
      const __m256 in = _mm256_loadu_ps(x + r * width + i);
      for (int o = 0; o < kOuts; ++o) sum[r][o] = _mm256_fmadd_ps(w[o], in, sum[r][o]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int o = 0; o < kOuts; ++o) {
      float total = sum8(sum[r][o]);
      for (int64_t j = i; j < width; ++j) total += weight_at<kind>(weights, o * width + j) * x[r * width + j];
      out[r * stride + o] = total;
    }
  }
}

template <WeightKind kind>
LITHE_AVX512 inline __m512 load16(const void* weights, int64_t i) {
  if constexpr (kind == WeightKind::float32) return _mm512_loadu_ps(static_cast<const float*>(weights) + i);
  const __m256i words = _mm256_loadu_si256(static_cast<const __m256i*>(skip<kind>(weights, i)));
  if constexpr (kind == WeightKind::float16) return _mm512_cvtph_ps(words);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16));
}

template <WeightKind kind>
LITHE_AVX512 void widen_avx512(const void* weights, int64_t count, float* out) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) _mm512_storeu_ps(out + i, load16<kind>(weights, i));
  widen_plain<kind>(skip<kind>(weights, i), count - i, out + i);
}

/// Adds the products of 16 columns to sums[..][..][part].
template <WeightKind kind, int kRows, int kOuts, int kParts>
LITHE_AVX512 inline __attribute__((always_inline)) void add16(__m512 (&sums)[kRows][kOuts][kParts], int part,
                                                              const void* weights, const float* x, int64_t width,
                                                              int64_t i) {
  __m512 w[kOuts];
  for (int o = 0; o < kOuts; ++o) w[o] = load16<kind>(weights, o * width + i);
  for (int r = 0; r < kRows; ++r) {
    const __m512 in = _mm512_loadu_ps(x + r * width + i);
    for (int o = 0; o < kOuts; ++o) sums[r][o][part] = _mm512_fmadd_ps(w[o], in, sums[r][o][part]);
  }
}

/// As dot_avx2, a cache line of each row at a time, and with memory prefetched. A single product has a sum for each
/// vector of a line, since an addition takes four cycles.
template <WeightKind kind, int kRows, int kOuts>
LITHE_AVX512 void dot_avx512(const void* weights, const float* x, int64_t width, float* out, int64_t stride) {
  constexpr int64_t kBytes = bits_of(kind) / 8, kOfALine = kLineBytes / kBytes;
  constexpr int kVectors = kOfALine / 16, kParts = kRows * kOuts == 1 ? kVectors : 1;
  __m512 sums[kRows][kOuts][kParts];
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOuts; ++o)
      for (int p = 0; p < kParts; ++p) sums[r][o][p] = _mm512_setzero_ps();
  int64_t i = 0;
  for (; i + kOfALine <= width; i += kOfALine) {
    for (int o = 0; o < kOuts; ++o)
      prefetch_next_rows(static_cast<const char*>(weights), width * kBytes, kOuts, o, i * kBytes);
    add16<kind>(sums, 0, weights, x, width, i);
    if constexpr (kVectors == 2) add16<kind>(sums, kParts - 1, weights, x, width, i + 16);
  }
  for (; i + 16 <= width; i += 16) add16<kind>(sums, 0, weights, x, width, i);
  for (int r = 0; r < kRows; ++r) {
    for (int o = 0; o < kOuts; ++o) {
      const __m512 sum = kParts == 1 ? sums[r][o][0] : _mm512_add_ps(sums[r][o][0], sums[r][o][kParts - 1]);
      float total = _mm512_reduce_add_ps(sum);
      for (int64_t j = i; j < width; ++j) total += weight_at<kind>(weights, o * width + j) * x[r * width + j];
      out[r * stride + o] = total;
    }
  }
}

using Dot = void (*)(const void* weights, const float* x, int64_t width, float* out, int64_t stride);

/// One row of x reads rows of weights one after another. More rows of x have to come from the outer caches, so that
/// several rows of weights share them.
template <WeightKind kind>
struct Avx512 {
  static constexpr std::array<int64_t, 8> kOuts{1, 4, 4, 4, 2, 2, 2, 2};
  template <int rows, int outs>
  static constexpr Dot kDot = dot_avx512<kind, rows, outs>;
};

template <WeightKind kind>
struct Avx2 {
  static constexpr std::array<int64_t, 4> kOuts{2, 2, 2, 2};  // twice the rows of x need more registers than AVX2 has
  template <int rows, int outs>
  static constexpr Dot kDot = dot_avx2<kind, rows, outs>;
};

template <WeightKind kind>
Dots<Dot> dots_of(VectorSet set) {
  return set >= VectorSet::avx512 ? dots_in<Dot, Avx512<kind>>() : dots_in<Dot, Avx2<kind>>();
}

/// Some weight rows at a time, all rows of x before the next ones, while the weights are in the caches.
template <WeightKind kind>
void dot_fast(const WeightView& weight, int64_t first, int64_t last, const float* x, int64_t rows, float* y,
              const Dots<Dot>& dots) {
  static_assert(kMostDotRows <= Avx512<kind>::kOuts.size(), "all rows of x take as many weight rows at a time");
  const int64_t most = dots.outs[std::min(dots.rows, rows) - 1];
  for (int64_t out = first, outs = 0; out < last; out += outs) {
    outs = out + most <= last ? most : 1;
    const Dot* const kernels = outs == most ? dots.some : dots.one;
    for (int64_t row = 0; row < rows; row += dots.rows) {
      kernels[std::min(dots.rows, rows - row) - 1](weight.at(out, 0), x + row * weight.width, weight.width,
                                                   y + row * weight.outs + out, weight.outs);
    }
  }
}
#endif

template <WeightKind kind>
void dot_kind(const WeightView& weight, int64_t first, int64_t last, const float* x, int64_t rows, float* y) {
#if defined(__x86_64__)
  if (vector_set() != VectorSet::plain)
    return dot_fast<kind>(weight, first, last, x, rows, y, dots_of<kind>(vector_set()));
#endif
  for (int64_t out = first; out < last; ++out) {
    dot_plain<kind>(weight.at(out, 0), x, rows, weight.width, y + out, weight.outs);
  }
}

template <WeightKind kind>
void widen_kind(const void* weights, int64_t count, float* out) {
#if defined(__x86_64__)
  if (vector_set() >= VectorSet::avx512) return widen_avx512<kind>(weights, count, out);
  if (vector_set() == VectorSet::avx2) return widen_avx2<kind>(weights, count, out);
#endif
  widen_plain<kind>(weights, count, out);
}

}  // namespace

void widen(const WeightView& weight, int64_t out, int64_t first, int64_t count, float* to) {
  switch (weight.kind) {
    case WeightKind::float32:
      return widen_kind<WeightKind::float32>(weight.at(out, first), count, to);
    case WeightKind::bfloat16:
      return widen_kind<WeightKind::bfloat16>(weight.at(out, first), count, to);
    case WeightKind::float16:
      return widen_kind<WeightKind::float16>(weight.at(out, first), count, to);
    case WeightKind::int8:
    case WeightKind::int4:
      return widen_codes(weight, out, first, count, to);
  }
}

void dot_rows(const WeightView& weight, int64_t first, int64_t last, const float* x, int64_t rows, float* y) {
  switch (weight.kind) {
    case WeightKind::float32:
      return dot_kind<WeightKind::float32>(weight, first, last, x, rows, y);
    case WeightKind::bfloat16:
      return dot_kind<WeightKind::bfloat16>(weight, first, last, x, rows, y);
    case WeightKind::float16:
      return dot_kind<WeightKind::float16>(weight, first, last, x, rows, y);
    case WeightKind::int8:
    case WeightKind::int4:
      return dot_codes(weight, first, last, x, rows, y);
  }
}

}  // namespace lithe::ops
