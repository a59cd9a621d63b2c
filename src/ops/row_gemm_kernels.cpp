#include "ops/row_gemm_kernels.h"

#include <array>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lithe::ops {
namespace {

#if defined(__x86_64__)

using Add = void (*)(const float*, int64_t, const float*, int64_t, float*);

// 14 weight rows by two vectors fill 28 of AVX-512's 32 registers; 6 by two fill 12 of AVX2's 16. The registers start
// at 0 and are added at the end, so that rounding grows with the depth of a block, not of the whole product.

/// The rows of a block by every third one: base, base + stride and base + 2 stride are one address each on x86, so that
/// 14 rows need six registers instead of fourteen.
template <int kOuts>
struct RowPointers {
  const float* third[(kOuts + 2) / 3];
  int64_t stride;

  inline __attribute__((always_inline)) RowPointers(const float* w, int64_t w_stride) : stride(w_stride) {
    for (int i = 0; i < (kOuts + 2) / 3; ++i) third[i] = w + 3 * i * w_stride;
  }
  inline __attribute__((always_inline)) const float* at(int o) const { return third[o / 3] + o % 3 * stride; }
};

template <int kOuts>
__attribute__((target("avx512f"))) void add_avx512(const float* w, int64_t w_stride, const float* x, int64_t depth,
                                                   float* sums) {
  __m512 acc[kOuts][2];
  for (int o = 0; o < kOuts; ++o) {
    acc[o][0] = _mm512_setzero_ps();
    acc[o][1] = _mm512_setzero_ps();
  }
  const RowPointers<kOuts> rows(w, w_stride);
#pragma GCC unroll 4
  for (int64_t k = 0; k < depth; ++k, x += 32) {
    const __m512 x0 = _mm512_loadu_ps(x), x1 = _mm512_loadu_ps(x + 16);
#pragma GCC unroll 14
    for (int o = 0; o < kOuts; ++o) {
      const __m512 weight = _mm512_set1_ps(rows.at(o)[k]);
      acc[o][0] = _mm512_fmadd_ps(weight, x0, acc[o][0]);
      acc[o][1] = _mm512_fmadd_ps(weight, x1, acc[o][1]);
    }
  }
  for (int o = 0; o < kOuts; ++o) {
    float* const sum = sums + o * 32;
    _mm512_storeu_ps(sum, _mm512_add_ps(_mm512_loadu_ps(sum), acc[o][0]));
    _mm512_storeu_ps(sum + 16, _mm512_add_ps(_mm512_loadu_ps(sum + 16), acc[o][1]));
  }
}

template <int kOuts>
__attribute__((target("avx2,fma"))) void add_avx2(const float* w, int64_t w_stride, const float* x, int64_t depth,
                                                  float* sums) {
  __m256 acc[kOuts][2];
  for (int o = 0; o < kOuts; ++o) {
    acc[o][0] = _mm256_setzero_ps();
    acc[o][1] = _mm256_setzero_ps();
  }
  const RowPointers<kOuts> rows(w, w_stride);
#pragma GCC unroll 4
  for (int64_t k = 0; k < depth; ++k, x += 16) {
    const __m256 x0 = _mm256_loadu_ps(x), x1 = _mm256_loadu_ps(x + 8);
#pragma GCC unroll 6
    for (int o = 0; o < kOuts; ++o) {
      const __m256 weight = _mm256_set1_ps(rows.at(o)[k]);
      acc[o][0] = _mm256_fmadd_ps(weight, x0, acc[o][0]);
      acc[o][1] = _mm256_fmadd_ps(weight, x1, acc[o][1]);
    }
  }
  for (int o = 0; o < kOuts; ++o) {
    float* const sum = sums + o * 16;
    _mm256_storeu_ps(sum, _mm256_add_ps(_mm256_loadu_ps(sum), acc[o][0]));
    _mm256_storeu_ps(sum + 8, _mm256_add_ps(_mm256_loadu_ps(sum + 8), acc[o][1]));
  }
}

template <int... kOuts>
constexpr std::array<Add, sizeof...(kOuts)> avx512_table(std::integer_sequence<int, kOuts...>) {
  return {add_avx512<kOuts + 1>...};
}
template <int... kOuts>
constexpr std::array<Add, sizeof...(kOuts)> avx2_table(std::integer_sequence<int, kOuts...>) {
  return {add_avx2<kOuts + 1>...};
}

void dispatch_avx512(const float* w, int64_t w_stride, const float* x, int64_t depth, int64_t outs, float* sums) {
  static constexpr auto kTable = avx512_table(std::make_integer_sequence<int, 14>());
  kTable[static_cast<size_t>(outs - 1)](w, w_stride, x, depth, sums);
}
void dispatch_avx2(const float* w, int64_t w_stride, const float* x, int64_t depth, int64_t outs, float* sums) {
  static constexpr auto kTable = avx2_table(std::make_integer_sequence<int, 6>());
  kTable[static_cast<size_t>(outs - 1)](w, w_stride, x, depth, sums);
}

constexpr RowGemmKernel kAvx512{32, 14, dispatch_avx512};
constexpr RowGemmKernel kAvx2{16, 6, dispatch_avx2};

#endif

constexpr RowGemmKernel kNone{};

}  // namespace

int64_t row_gemm_kernels(const RowGemmKernel** list) {
  int64_t count = 0;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) list[count++] = &kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) list[count++] = &kAvx2;
#else
  (void)list;
#endif
  return count;
}

const RowGemmKernel& row_gemm_kernel() {
  static const RowGemmKernel& best = [&]() -> const RowGemmKernel& {
    const RowGemmKernel* list[2];
    return row_gemm_kernels(list) > 0 ? *list[0] : kNone;
  }();
  return best;
}

}  // namespace lithe::ops
