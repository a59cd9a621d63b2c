#include "ops/row_gemm_kernels.h"

#include <array>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/vector_set.h"
#include "ops/prefetch.h"

namespace lithe::ops {
namespace {

#if defined(__x86_64__)

using Add = void (*)(const float* w, const float* x, int64_t depth, const Ahead& ahead, float* sums);

class Prefetcher {
 public:
  explicit Prefetcher(const Ahead& ahead) : left_(ahead) {}

  inline __attribute__((always_inline)) void some_lines() {
    if (left_.rows == 0) return;
    const int64_t end = offset_ + left_.lines * kLineBytes;
    for (; offset_ < end; offset_ += kLineBytes) _mm_prefetch(left_.row + offset_, _MM_HINT_T1);
    if (offset_ < left_.row_bytes) return;
    offset_ = 0;
    left_.row += left_.stride;
    --left_.rows;
  }

 private:
  Ahead left_;
  int64_t offset_ = 0;
};

// 14 weight rows by two vectors fill 28 of AVX-512's 32 registers; 6 by two fill 12 of AVX2's 16. The registers start
// at 0 and are added at the end, so that rounding grows with the depth of a block, not of the whole product.

template <int kOuts, int kVectors>
LITHE_AVX512 void add_avx512(const float* w, const float* x, int64_t depth, const Ahead& ahead, float* sums) {
  __m512 acc[kOuts][kVectors];
  for (int o = 0; o < kOuts; ++o) {
    for (int v = 0; v < kVectors; ++v) acc[o][v] = _mm512_setzero_ps();
  }
  Prefetcher prefetcher(ahead);
  for (int64_t chunk = 0; chunk < depth; chunk += kChunk, w += kOuts * kChunk) {
    prefetcher.some_lines();
#pragma GCC unroll 4
    for (int64_t k = 0; k < kChunk; ++k, x += 32) {
      __m512 in[kVectors];
      for (int v = 0; v < kVectors; ++v) in[v] = _mm512_loadu_ps(x + 16 * v);
#pragma GCC unroll 14
      for (int o = 0; o < kOuts; ++o) {
        const __m512 weight = _mm512_set1_ps(w[o * kChunk + k]);
        for (int v = 0; v < kVectors; ++v) acc[o][v] = _mm512_fmadd_ps(weight, in[v], acc[o][v]);
      }
    }
  }
  for (int o = 0; o < kOuts; ++o) {
    for (int v = 0; v < kVectors; ++v) {
      float* const sum = sums + o * 32 + 16 * v;
      _mm512_storeu_ps(sum, _mm512_add_ps(_mm512_loadu_ps(sum), acc[o][v]));
    }
  }
}

template <int kOuts, int kVectors>
LITHE_AVX2 void add_avx2(const float* w, const float* x, int64_t depth, const Ahead& ahead, float* sums) {
  __m256 acc[kOuts][kVectors];
  for (int o = 0; o < kOuts; ++o) {
    for (int v = 0; v < kVectors; ++v) acc[o][v] = _mm256_setzero_ps();
  }
  Prefetcher prefetcher(ahead);
  for (int64_t chunk = 0; chunk < depth; chunk += kChunk, w += kOuts * kChunk) {
    prefetcher.some_lines();
#pragma GCC unroll 4
    for (int64_t k = 0; k < kChunk; ++k, x += 16) {
      __m256 in[kVectors];
      for (int v = 0; v < kVectors; ++v) in[v] = _mm256_loadu_ps(x + 8 * v);
#pragma GCC unroll 6
      for (int o = 0; o < kOuts; ++o) {
        const __m256 weight = _mm256_set1_ps(w[o * kChunk + k]);
        for (int v = 0; v < kVectors; ++v) acc[o][v] = _mm256_fmadd_ps(weight, in[v], acc[o][v]);
      }
    }
  }
  for (int o = 0; o < kOuts; ++o) {
    for (int v = 0; v < kVectors; ++v) {
      float* const sum = sums + o * 16 + 8 * v;
      _mm256_storeu_ps(sum, _mm256_add_ps(_mm256_loadu_ps(sum), acc[o][v]));
    }
  }
}

template <int kVectors, int... kOuts>
constexpr std::array<Add, sizeof...(kOuts)> avx512_table(std::integer_sequence<int, kOuts...>) {
  return {add_avx512<kOuts + 1, kVectors>...};
}
template <int kVectors, int... kOuts>
constexpr std::array<Add, sizeof...(kOuts)> avx2_table(std::integer_sequence<int, kOuts...>) {
  return {add_avx2<kOuts + 1, kVectors>...};
}

void dispatch_avx512(const float* w, const float* x, int64_t depth, int64_t outs, int64_t columns, const Ahead& ahead,
                     float* sums) {
  using Outs = std::make_integer_sequence<int, 14>;
  static constexpr std::array<Add, 14> kHalf = avx512_table<1>(Outs()), kWhole = avx512_table<2>(Outs());
  (columns <= 16 ? kHalf : kWhole)[static_cast<size_t>(outs - 1)](w, x, depth, ahead, sums);
}
void dispatch_avx2(const float* w, const float* x, int64_t depth, int64_t outs, int64_t columns, const Ahead& ahead,
                   float* sums) {
  using Outs = std::make_integer_sequence<int, 6>;
  static constexpr std::array<Add, 6> kHalf = avx2_table<1>(Outs()), kWhole = avx2_table<2>(Outs());
  (columns <= 8 ? kHalf : kWhole)[static_cast<size_t>(outs - 1)](w, x, depth, ahead, sums);
}

constexpr RowGemmKernel kAvx512{32, 14, dispatch_avx512};
constexpr RowGemmKernel kAvx2{16, 6, dispatch_avx2};
static_assert(kAvx512.max_outs <= kMostOuts && kAvx2.max_outs <= kMostOuts);

#endif

constexpr RowGemmKernel kNone{};

}  // namespace

const RowGemmKernel& row_gemm_kernel() {
#if defined(__x86_64__)
  if (vector_set() >= VectorSet::avx512) return kAvx512;
  if (vector_set() == VectorSet::avx2) return kAvx2;
#endif
  return kNone;
}

}  // namespace lithe::ops
