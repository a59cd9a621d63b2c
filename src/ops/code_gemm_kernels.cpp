#include "ops/code_gemm_kernels.h"

#include <array>
#include <bit>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/vector_set.h"

namespace lithe::ops {
namespace {

/// Code number i of a row.
int32_t code_at(const char* stored, WeightKind kind, int64_t i) {
  if (kind == WeightKind::int8) return static_cast<signed char>(stored[i]);
  constexpr int64_t kHalf = kCodeBlock / 2;
  const auto byte = static_cast<unsigned char>(stored[i / kCodeBlock * kHalf + i % kHalf]);
  return (i % kCodeBlock < kHalf ? byte & 15 : byte >> 4) - 8;
}

void unpack_plain(const CodeRun& from, RowCodes codes, const CodeWords& to) {
  const int64_t chunk = kChunkWords * codes_in_word(codes);
  for (int64_t g = 0; g < from.groups; ++g) {
    int32_t sum = 0;
    for (int64_t i = g * from.group; i < (g + 1) * from.group; ++i) {
      const int32_t code = code_at(from.data, from.kind, i);
      int32_t* const words = to.words + i / chunk * to.stride;
      if (codes == RowCodes::int16)
        reinterpret_cast<int16_t*>(words)[i % chunk] = static_cast<int16_t>(code);
      else
        reinterpret_cast<int8_t*>(words)[i % chunk] = static_cast<int8_t>(code);
      sum += code;
    }
    if (codes == RowCodes::int8) to.sums[g * to.sums_stride] = sum;
  }
}

/// The products of the codes in a word.
int32_t multiplied(int32_t weights, int32_t x, RowCodes codes) {
  if (codes == RowCodes::int16) {
    const auto w = std::bit_cast<std::array<int16_t, 2>>(weights), in = std::bit_cast<std::array<int16_t, 2>>(x);
    return w[0] * in[0] + w[1] * in[1];
  }
  const auto w = std::bit_cast<std::array<int8_t, 4>>(weights);
  const auto in = std::bit_cast<std::array<uint8_t, 4>>(x);
  return w[0] * in[0] + w[1] * in[1] + w[2] * in[2] + w[3] * in[3];
}

void add_plain(const CodePart& part, RowCodes codes, int64_t columns, float* y) {
  for (int64_t g = 0; g < part.groups; ++g) {
    const int32_t* const weights = part.weights + g * part.words * part.outs;
    const int32_t* const x = part.x + g * part.words * kCodeRows;
    for (int64_t o = 0; o < part.outs; ++o) {
      const int64_t out = g * part.outs + o;
      for (int64_t c = 0; c < columns; ++c) {
        int32_t sum = codes == RowCodes::int8 ? -kZeroOfRows * part.sums[out] : 0;
        for (int64_t k = 0; k < part.words; ++k) {
          const int32_t word = weights[(k / kChunkWords * part.outs + o) * kChunkWords + k % kChunkWords];
          sum += multiplied(word, x[k * kCodeRows + c], codes);
        }
        const int64_t column = g * kCodeRows + c;
        float& to = y[o * kCodeRows + c];
        to += static_cast<float>(sum) * (part.scales[out] * part.x_scales[column]);
        if (part.offsets) to += part.offsets[out] * part.x_sums[column];
      }
    }
  }
}

#if defined(__x86_64__)

/// A block of codes as signed bytes, in the order of their columns.
template <WeightKind kind>
LITHE_AVX512 inline __m256i load_codes(const char* stored, int64_t i) {
  if constexpr (kind == WeightKind::int8) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(stored + i));
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(stored + i / 2)), low = _mm_set1_epi8(15);
  const __m256i halves = _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(bytes, 4), low), _mm_and_si128(bytes, low));
  return _mm256_sub_epi8(halves, _mm256_set1_epi8(8));
}

template <WeightKind kind, RowCodes codes>
LITHE_AVX512_VNNI void unpack_kind(const CodeRun& from, const CodeWords& to) {
  int32_t* words = to.words;
  for (int64_t g = 0; g < from.groups; ++g) {
    __m256i sum = _mm256_setzero_si256();
    for (int64_t i = g * from.group; i < (g + 1) * from.group; i += kCodeBlock) {
      _mm_prefetch(from.data + i * bits_of(kind) / 8 + from.ahead, _MM_HINT_T0);
      const __m256i block = load_codes<kind>(from.data, i);
      if constexpr (codes == RowCodes::int16) {
        const __m512i wide = _mm512_cvtepi8_epi16(block);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), _mm512_castsi512_si256(wide));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(words + to.stride), _mm512_extracti64x4_epi64(wide, 1));
        words += 2 * to.stride;
      } else {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), block);
        sum = _mm256_dpbusd_epi32(sum, _mm256_set1_epi8(1), block);
        words += to.stride;
      }
    }
    if constexpr (codes == RowCodes::int8)
      to.sums[g * to.sums_stride] = _mm512_reduce_add_epi32(_mm512_zextsi256_si512(sum));
  }
}

void unpack_vnni(const CodeRun& from, RowCodes codes, const CodeWords& to) {
  const bool wide = codes == RowCodes::int16;
  if (from.kind == WeightKind::int8)
    return wide ? unpack_kind<WeightKind::int8, RowCodes::int16>(from, to)
                : unpack_kind<WeightKind::int8, RowCodes::int8>(from, to);
  return wide ? unpack_kind<WeightKind::int4, RowCodes::int16>(from, to)
              : unpack_kind<WeightKind::int4, RowCodes::int8>(from, to);
}

/// 14 rows of weights by two vectors fill 28 of the 32 registers.
constexpr int kOutsVnni = 14;

/// acc += the products of 16 words. As assembly, since the compiler copies the sums of its own intrinsics to and fro.
template <RowCodes codes>
LITHE_AVX512_VNNI inline void multiply_add(__m512i& acc, const __m512i& x, const __m512i& weights) {
  if constexpr (codes == RowCodes::int8)
    asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(weights));
  else
    asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(weights));
}

/// Adds a group's sums to y. Every loop is unrolled, so that the sums are registers and never an array in memory.
template <int kOuts, int kVectors>
LITHE_AVX512_VNNI inline void add_scaled(const __m512i (&acc)[kOuts][kVectors], const CodePart& part, int64_t g,
                                         float* y) {
  const float* const scales = part.scales + g * kOuts;
  const float* const offsets = part.offsets ? part.offsets + g * kOuts : nullptr;
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    const int64_t at = g * kCodeRows + 16 * v;
    const __m512 x_scale = _mm512_loadu_ps(part.x_scales + at);
#pragma GCC unroll 14
    for (int o = 0; o < kOuts; ++o) {
      float* const to = y + o * kCodeRows + 16 * v;
      const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(scales[o]), x_scale);
      __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[o][v]), scale, _mm512_loadu_ps(to));
      if (offsets) sum = _mm512_fmadd_ps(_mm512_set1_ps(offsets[o]), _mm512_loadu_ps(part.x_sums + at), sum);
      _mm512_storeu_ps(to, sum);
    }
  }
}

template <RowCodes codes, int kOuts, int kVectors>
LITHE_AVX512_VNNI void add_vnni(const CodePart& part, float* y) {
  const int32_t* w = part.weights;
  const int32_t* x = part.x;
  for (int64_t g = 0; g < part.groups; ++g) {
    __m512i acc[kOuts][kVectors];
#pragma GCC unroll 14
    for (int o = 0; o < kOuts; ++o) {
      const __m512i start =
          codes == RowCodes::int8 ? _mm512_set1_epi32(-kZeroOfRows * part.sums[g * kOuts + o]) : _mm512_setzero_si512();
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) acc[o][v] = start;
    }
    for (int64_t chunk = 0; chunk < part.words; chunk += kChunkWords, w += kOuts * kChunkWords) {
#pragma GCC unroll 4
      for (int64_t k = 0; k < kChunkWords; ++k, x += kCodeRows) {
        __m512i in[kVectors];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) in[v] = _mm512_loadu_si512(x + 16 * v);
#pragma GCC unroll 14
        for (int o = 0; o < kOuts; ++o) {
          const __m512i weight = _mm512_set1_epi32(w[o * kChunkWords + k]);
#pragma GCC unroll 2
          for (int v = 0; v < kVectors; ++v) {
            multiply_add<codes>(acc[o][v], in[v], weight);
          }
        }
      }
    }
    // Without this the compiler keeps y in registers from group to group, and has none left for the sums.
    asm volatile("" ::: "memory");
    add_scaled<kOuts, kVectors>(acc, part, g, y);
  }
}

using Add = void (*)(const CodePart& part, float* y);

template <RowCodes codes, int kVectors, int... kOuts>
constexpr std::array<Add, sizeof...(kOuts)> vnni_table(std::integer_sequence<int, kOuts...>) {
  return {add_vnni<codes, kOuts + 1, kVectors>...};
}

template <RowCodes codes>
void add_vnni_codes(const CodePart& part, int64_t columns, float* y) {
  using Outs = std::make_integer_sequence<int, kOutsVnni>;
  static constexpr auto kHalf = vnni_table<codes, 1>(Outs()), kWhole = vnni_table<codes, 2>(Outs());
  (columns <= kCodeRows / 2 ? kHalf : kWhole)[static_cast<size_t>(part.outs - 1)](part, y);
}

void dispatch_vnni(const CodePart& part, RowCodes codes, int64_t columns, float* y) {
  if (codes == RowCodes::int16) return add_vnni_codes<RowCodes::int16>(part, columns, y);
  add_vnni_codes<RowCodes::int8>(part, columns, y);
}

constexpr CodeGemmKernel kVnni{kOutsVnni, unpack_vnni, dispatch_vnni};

#endif

constexpr CodeGemmKernel kPlain{8, unpack_plain, add_plain};

}  // namespace

const CodeGemmKernel& code_gemm_kernel() {
#if defined(__x86_64__)
  if (vector_set() >= VectorSet::avx512_vnni) return kVnni;
#endif
  return kPlain;
}

}  // namespace lithe::ops
