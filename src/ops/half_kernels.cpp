#include "ops/half_kernels.h"

#include <atomic>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lithe::ops {
namespace {

std::atomic<bool> plain_only{false};

float widen_bfloat16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

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

float widen_one(HalfKind kind, uint16_t bits) {
  return kind == HalfKind::bfloat16 ? widen_bfloat16(bits) : widen_float16(bits);
}

void widen_plain(HalfKind kind, const uint16_t* bits, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = widen_one(kind, bits[i]);
}

void dot_plain(HalfKind kind, const uint16_t* bits, const float* x, int64_t rows, int64_t width, float* out,
               int64_t stride) {
  for (int64_t row = 0; row < rows; ++row, x += width) {
    float sum = 0;
    for (int64_t i = 0; i < width; ++i) sum += widen_one(kind, bits[i]) * x[i];
    out[row * stride] = sum;
  }
}

#if defined(__x86_64__)
#define LITHE_AVX2 __attribute__((target("avx2,fma,f16c")))
#define LITHE_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx2,fma,f16c")))

template <HalfKind kind>
LITHE_AVX2 inline __m256 load8(const uint16_t* bits) {
  const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bits));
  if constexpr (kind == HalfKind::float16) return _mm256_cvtph_ps(words);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
}

LITHE_AVX2 inline float sum8(__m256 v) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

template <HalfKind kind>
LITHE_AVX2 void widen_avx2(const uint16_t* bits, int64_t count, float* out) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(out + i, load8<kind>(bits + i));
  widen_plain(kind, bits + i, count - i, out + i);
}

template <HalfKind kind, int kRows>
LITHE_AVX2 void dot_avx2(const uint16_t* bits, const float* x, int64_t width, float* out, int64_t stride) {
  __m256 sum[kRows][2];
  for (int r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = _mm256_setzero_ps();
  int64_t i = 0;
  for (; i + 16 <= width; i += 16) {
    const __m256 w0 = load8<kind>(bits + i), w1 = load8<kind>(bits + i + 8);
    for (int r = 0; r < kRows; ++r) {
      sum[r][0] = _mm256_fmadd_ps(w0, _mm256_loadu_ps(x + r * width + i), sum[r][0]);
      sum[r][1] = _mm256_fmadd_ps(w1, _mm256_loadu_ps(x + r * width + i + 8), sum[r][1]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    float total = sum8(_mm256_add_ps(sum[r][0], sum[r][1]));
    for (int64_t j = i; j < width; ++j) total += widen_one(kind, bits[j]) * x[r * width + j];
    out[r * stride] = total;
  }
}

template <HalfKind kind>
LITHE_AVX512 inline __m512 load16(const uint16_t* bits) {
  const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bits));
  if constexpr (kind == HalfKind::float16) return _mm512_cvtph_ps(words);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16));
}

template <HalfKind kind>
LITHE_AVX512 void widen_avx512(const uint16_t* bits, int64_t count, float* out) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) _mm512_storeu_ps(out + i, load16<kind>(bits + i));
  widen_plain(kind, bits + i, count - i, out + i);
}

template <HalfKind kind, int kRows>
LITHE_AVX512 void dot_avx512(const uint16_t* bits, const float* x, int64_t width, float* out, int64_t stride) {
  __m512 sum[kRows][2];
  for (int r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  int64_t i = 0;
  for (; i + 32 <= width; i += 32) {
    _mm_prefetch(reinterpret_cast<const char*>(bits + i + 512), _MM_HINT_T0);
    const __m512 w0 = load16<kind>(bits + i), w1 = load16<kind>(bits + i + 16);
    for (int r = 0; r < kRows; ++r) {
      sum[r][0] = _mm512_fmadd_ps(w0, _mm512_loadu_ps(x + r * width + i), sum[r][0]);
      sum[r][1] = _mm512_fmadd_ps(w1, _mm512_loadu_ps(x + r * width + i + 16), sum[r][1]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    float total = _mm512_reduce_add_ps(_mm512_add_ps(sum[r][0], sum[r][1]));
    for (int64_t j = i; j < width; ++j) total += widen_one(kind, bits[j]) * x[r * width + j];
    out[r * stride] = total;
  }
}

enum class Level { plain, avx2, avx512 };

Level level() {
  static const Level best = [] {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
      return Level::avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))
      return Level::avx2;
    return Level::plain;
  }();
  return plain_only.load(std::memory_order_relaxed) ? Level::plain : best;
}

template <HalfKind kind>
void dot_dispatch(const uint16_t* bits, const float* x, int64_t rows, int64_t width, float* out, int64_t stride) {
  using Kernel = void (*)(const uint16_t*, const float*, int64_t, float*, int64_t);
  static constexpr Kernel kAvx2[] = {dot_avx2<kind, 1>, dot_avx2<kind, 2>, dot_avx2<kind, 3>, dot_avx2<kind, 4>};
  static constexpr Kernel kAvx512[] = {dot_avx512<kind, 1>, dot_avx512<kind, 2>, dot_avx512<kind, 3>,
                                       dot_avx512<kind, 4>};
  switch (level()) {
    case Level::avx512:
      return kAvx512[rows - 1](bits, x, width, out, stride);
    case Level::avx2:
      return kAvx2[rows - 1](bits, x, width, out, stride);
    case Level::plain:
      return dot_plain(kind, bits, x, rows, width, out, stride);
  }
}
#endif

}  // namespace

void force_plain_half_kernels(bool plain) {
  plain_only = plain;
}

#if defined(__x86_64__)
void widen(HalfKind kind, const uint16_t* bits, int64_t count, float* out) {
  const bool brain = kind == HalfKind::bfloat16;
  switch (level()) {
    case Level::avx512:
      return brain ? widen_avx512<HalfKind::bfloat16>(bits, count, out)
                   : widen_avx512<HalfKind::float16>(bits, count, out);
    case Level::avx2:
      return brain ? widen_avx2<HalfKind::bfloat16>(bits, count, out) : widen_avx2<HalfKind::float16>(bits, count, out);
    case Level::plain:
      return widen_plain(kind, bits, count, out);
  }
}

void dot_rows(HalfKind kind, const uint16_t* bits, const float* x, int64_t rows, int64_t width, float* out,
              int64_t out_stride) {
  if (kind == HalfKind::bfloat16) return dot_dispatch<HalfKind::bfloat16>(bits, x, rows, width, out, out_stride);
  dot_dispatch<HalfKind::float16>(bits, x, rows, width, out, out_stride);
}
#else
void widen(HalfKind kind, const uint16_t* bits, int64_t count, float* out) {
  widen_plain(kind, bits, count, out);
}
void dot_rows(HalfKind kind, const uint16_t* bits, const float* x, int64_t rows, int64_t width, float* out,
              int64_t out_stride) {
  dot_plain(kind, bits, x, rows, width, out, out_stride);
}
#endif

}  // namespace lithe::ops
