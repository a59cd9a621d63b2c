#pragma once

#include "base/vector_set.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace lithe::ops {

/// The sum of the eight numbers of a vector.
LITHE_AVX2 inline float sum8(__m256 v) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

}  // namespace lithe::ops
#endif
