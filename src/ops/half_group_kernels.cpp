#include "ops/half_group_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/vector_set.h"
#include "ops/sum_avx2.h"

namespace lithe::ops {

bool has_half_groups(const WeightView& weight) {
  return weight.kind == WeightKind::int8 && weight.group == kHalfBlock && weight.width % kHalfBlock == 0 &&
         weight.offsets == nullptr && vector_set() != VectorSet::plain;
}

#if defined(__x86_64__)
namespace {

/// A row of weights.
struct Row {
  const char* codes;
  const float* scales;
};

Row row_of(const WeightView& weight, int64_t out) {
  return {weight.at(out, 0), weight.scales + out * weight.groups()};
}

/// Group g of a row: its codes times its scale.
LITHE_AVX512 inline __m512 group_avx512(const Row& row, int64_t g) {
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row.codes + g * kHalfBlock));
  return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)), _mm512_set1_ps(row.scales[g]));
}

/// The first or the second half of it.
LITHE_AVX2 inline __m256 group_avx2(const Row& row, int64_t g, int half) {
  const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row.codes + g * kHalfBlock + 8 * half));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)), _mm256_set1_ps(row.scales[g]));
}

/// kOuts neighbouring rows of weights with kRows rows of x: each group is scaled once for all rows.
template <int kRows, int kOuts>
LITHE_AVX512 void dot_avx512(const WeightView& weight, int64_t out, const float* x, float* y) {
  __m512 sums[kRows][kOuts];
  Row rows[kOuts];
  for (int o = 0; o < kOuts; ++o) {
    rows[o] = row_of(weight, out + o);
    for (int r = 0; r < kRows; ++r) sums[r][o] = _mm512_setzero_ps();
  }
  for (int64_t g = 0; g < weight.width / kHalfBlock; ++g) {
    __m512 values[kOuts];
    for (int o = 0; o < kOuts; ++o) values[o] = group_avx512(rows[o], g);
    for (int r = 0; r < kRows; ++r) {
      const __m512 in = _mm512_loadu_ps(x + r * weight.width + g * kHalfBlock);
      for (int o = 0; o < kOuts; ++o) sums[r][o] = _mm512_fmadd_ps(values[o], in, sums[r][o]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOuts; ++o) y[r * weight.outs + o] = _mm512_reduce_add_ps(sums[r][o]);
}

template <int kRows, int kOuts>
LITHE_AVX2 void dot_avx2(const WeightView& weight, int64_t out, const float* x, float* y) {
  __m256 sums[kRows][kOuts];
  Row rows[kOuts];
  for (int o = 0; o < kOuts; ++o) {
    rows[o] = row_of(weight, out + o);
    for (int r = 0; r < kRows; ++r) sums[r][o] = _mm256_setzero_ps();
  }
  for (int64_t i = 0; i < weight.width; i += 8) {
    __m256 values[kOuts];
    for (int o = 0; o < kOuts; ++o) values[o] = group_avx2(rows[o], i / kHalfBlock, i % kHalfBlock != 0);
    for (int r = 0; r < kRows; ++r) {
      const __m256 in = _mm256_loadu_ps(x + r * weight.width + i);
      for (int o = 0; o < kOuts; ++o) sums[r][o] = _mm256_fmadd_ps(values[o], in, sums[r][o]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOuts; ++o) y[r * weight.outs + o] = sum8(sums[r][o]);
}

template <int kRows, int kOuts>
void dot(const WeightView& weight, int64_t first, int64_t last, const float* x, float* y) {
  const bool wide = vector_set() >= VectorSet::avx512;
  const auto some = wide ? dot_avx512<kRows, kOuts> : dot_avx2<kRows, kOuts>;
  const auto one = wide ? dot_avx512<kRows, 1> : dot_avx2<kRows, 1>;
  int64_t out = first;
  for (; out + kOuts <= last; out += kOuts) some(weight, out, x, y + out);
  for (; out < last; ++out) one(weight, out, x, y + out);
}

LITHE_AVX512 void widen_avx512(const Row& row, int64_t first, int64_t count, float* to) {
  for (int64_t i = 0; i < count; i += kHalfBlock) _mm512_storeu_ps(to + i, group_avx512(row, (first + i) / kHalfBlock));
}

LITHE_AVX2 void widen_avx2(const Row& row, int64_t first, int64_t count, float* to) {
  for (int64_t i = 0; i < count; i += 8)
    _mm256_storeu_ps(to + i, group_avx2(row, (first + i) / kHalfBlock, i % kHalfBlock != 0));
}

}  // namespace

void dot_half_groups(const WeightView& weight, int64_t first, int64_t last, const float* x, int64_t rows, float* y) {
  int64_t row = 0;
  const auto in = [&] { return x + row * weight.width; };
  const auto to = [&] { return y + row * weight.outs; };
  for (; row + 4 <= rows; row += 4) dot<4, 2>(weight, first, last, in(), to());
  for (; row + 2 <= rows; row += 2) dot<2, 2>(weight, first, last, in(), to());
  for (; row < rows; ++row) dot<1, 4>(weight, first, last, in(), to());
}

void widen_half_groups(const WeightView& weight, int64_t out, int64_t first, int64_t count, float* to) {
  const Row row = row_of(weight, out);
  const int64_t whole = count - count % kHalfBlock;
  (vector_set() >= VectorSet::avx512 ? widen_avx512 : widen_avx2)(row, first, whole, to);
  for (int64_t i = whole; i < count; ++i)
    to[i] = row.scales[(first + i) / kHalfBlock] * static_cast<float>(static_cast<signed char>(row.codes[first + i]));
}
#else
void dot_half_groups(const WeightView&, int64_t, int64_t, const float*, int64_t, float*) {}
void widen_half_groups(const WeightView&, int64_t, int64_t, int64_t, float*) {}
#endif

}  // namespace lithe::ops
