#include "ops/row_codes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/vector_set.h"

namespace lithe::ops {
namespace {

constexpr float kNotFinite = std::numeric_limits<float>::quiet_NaN();

/// A scale whose inverse is finite, or 0.
float scale_for(float largest, RowCodes codes) {
  const float scale = largest / (codes == RowCodes::int16 ? 32767.0f : 127.0f);
  return std::isfinite(1 / scale) ? scale : 0.0f;
}

void put(float value, int64_t i, RowCodes codes, int32_t* words) {
  const auto code = static_cast<int32_t>(std::nearbyint(value));
  if (codes == RowCodes::int16)
    reinterpret_cast<int16_t*>(words)[i] = static_cast<int16_t>(code);
  else
    reinterpret_cast<uint8_t*>(words)[i] = static_cast<uint8_t>(code + kZeroOfRows);
}

float round_plain(const float* x, int64_t count, RowCodes codes, int32_t* words) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(x[i])) return kNotFinite;
    largest = std::max(largest, std::abs(x[i]));
  }
  const float scale = scale_for(largest, codes), inverse = scale == 0 ? 0 : 1 / scale;
  for (int64_t i = 0; i < count; ++i) put(x[i] * inverse, i, codes, words);
  return scale;
}

#if defined(__x86_64__)

LITHE_AVX2 float round_avx2(const float* x, int64_t count, RowCodes codes, int32_t* words) {
  const int64_t whole = count / 8 * 8;
  const __m256i no_sign = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i largest = _mm256_setzero_si256();  // the bits of magnitudes are in their order
  for (int64_t i = 0; i < whole; i += 8)
    largest = _mm256_max_epu32(largest, _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + i)), no_sign));
  uint32_t parts[8], most_bits = 0;
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(parts), largest);
  for (const uint32_t part : parts) most_bits = std::max(most_bits, part);
  for (int64_t i = whole; i < count; ++i) most_bits = std::max(most_bits, std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFu);
  const auto most = std::bit_cast<float>(most_bits);
  if (!std::isfinite(most)) return kNotFinite;
  const float scale = scale_for(most, codes), inverse = scale == 0 ? 0 : 1 / scale;
  for (int64_t i = 0; i < whole; i += 8) {
    const __m256i code = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(inverse)));
    const __m128i pairs = _mm_packs_epi32(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
    if (codes == RowCodes::int16) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(reinterpret_cast<int16_t*>(words) + i), pairs);
    } else {
      const __m128i bytes = _mm_packus_epi16(_mm_add_epi16(pairs, _mm_set1_epi16(kZeroOfRows)), pairs);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(reinterpret_cast<uint8_t*>(words) + i), bytes);
    }
  }
  for (int64_t i = whole; i < count; ++i) put(x[i] * inverse, i, codes, words);
  return scale;
}

LITHE_AVX512 float round_avx512(const float* x, int64_t count, RowCodes codes, int32_t* words) {
  const auto mask_at = [count](int64_t i) {
    return static_cast<__mmask16>(count - i >= 16 ? 0xFFFF : (1 << (count - i)) - 1);
  };
  __m512i largest = _mm512_setzero_si512();
  for (int64_t i = 0; i < count; i += 16) {
    const __m512i bits = _mm512_castps_si512(_mm512_maskz_loadu_ps(mask_at(i), x + i));
    largest = _mm512_max_epu32(largest, _mm512_and_si512(bits, _mm512_set1_epi32(0x7FFFFFFF)));
  }
  const float most = std::bit_cast<float>(static_cast<uint32_t>(_mm512_reduce_max_epu32(largest)));
  if (!std::isfinite(most)) return kNotFinite;
  const float scale = scale_for(most, codes);
  const __m512 inverse = _mm512_set1_ps(scale == 0 ? 0 : 1 / scale);
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = mask_at(i);
    const __m512i code = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), inverse));
    if (codes == RowCodes::int16)
      _mm512_mask_cvtepi32_storeu_epi16(reinterpret_cast<int16_t*>(words) + i, mask, code);
    else
      _mm512_mask_cvtepi32_storeu_epi8(reinterpret_cast<uint8_t*>(words) + i, mask,
                                       _mm512_add_epi32(code, _mm512_set1_epi32(kZeroOfRows)));
  }
  return scale;
}

#endif

}  // namespace

float round_row(const float* x, int64_t count, RowCodes codes, int32_t* words) {
#if defined(__x86_64__)
  if (vector_set() >= VectorSet::avx512) return round_avx512(x, count, codes, words);
  if (vector_set() == VectorSet::avx2) return round_avx2(x, count, codes, words);
#endif
  return round_plain(x, count, codes, words);
}

float sum_of_group(const float* x, int64_t count) {
  constexpr int64_t kParts = 8;
  float parts[kParts] = {}, sum = 0;
  int64_t i = 0;
  for (; i + kParts <= count; i += kParts)
    for (int64_t p = 0; p < kParts; ++p) parts[p] += x[i + p];
  for (const float part : parts) sum += part;
  for (; i < count; ++i) sum += x[i];
  return sum;
}

}  // namespace lithe::ops
