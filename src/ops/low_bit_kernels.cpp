#include "ops/low_bit_kernels.h"

#include <algorithm>
#include <array>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/vector_set.h"
#include "ops/dots.h"
#include "ops/half_group_kernels.h"
#include "ops/prefetch.h"
#include "ops/sum_avx2.h"

namespace lithe::ops {
namespace {

/// Code number i at the address of a block.
template <WeightKind kind>
float code_at(const char* codes, int64_t i) {
  if constexpr (kind == WeightKind::int8) return static_cast<float>(static_cast<signed char>(codes[i]));
  const int64_t half = kCodeBlock / 2, block = i / kCodeBlock, place = i % kCodeBlock;
  const auto byte = static_cast<unsigned char>(codes[block * half + place % half]);
  return static_cast<float>(place < half ? byte & 15 : byte >> 4) - 8.0f;
}

/// A row of weights: its codes, and the scale and offset of each group.
struct CodeRow {
  const char* codes;
  const float *scales, *offsets;

  CodeRow(const WeightView& weight, int64_t out)
      : codes(weight.at(out, 0)),
        scales(weight.scales + out * weight.groups()),
        offsets(weight.offsets ? weight.offsets + out * weight.groups() : nullptr) {}

  float offset(int64_t group) const { return offsets ? offsets[group] : 0.0f; }
};

/// Sum of code * x over some columns, a group or its end.
template <WeightKind kind>
float dot_plain(const CodeRow& row, const float* x, int64_t first, int64_t last) {
  float sum = 0;
  for (int64_t i = first; i < last; ++i) sum += code_at<kind>(row.codes, i) * x[i];
  return sum;
}

/// Sums of x over the groups of columns, which offsets are multiplied with.  -> [rows, groups], empty if all are 0
std::vector<float> group_sums(const WeightView& weight, const float* x, int64_t rows) {
  std::vector<float> sums;
  for (int64_t row = 0; weight.offsets && row < rows; ++row) {
    for (int64_t first = 0; first < weight.width; first += weight.group) {
      const int64_t last = std::min(first + weight.group, weight.width);
      float sum = 0;
      for (int64_t i = first; i < last; ++i) sum += x[row * weight.width + i];
      sums.push_back(sum);
    }
  }
  return sums;
}

/// What kernels of dot_codes take: `rows` rows of x are multiplied with some neighbouring rows of weights from `out`.
struct Task {
  const WeightView& weight;
  int64_t out;
  const float* x;     ///< [rows, width]
  const float* sums;  ///< [rows, groups], if there are offsets
  float* y;           ///< Of the first row and out; a row is weight.outs long.
};

/// What the offsets of a row of weights add to its product with one row of x.  sums: of that row, [groups]
float offset_term(const CodeRow& row, const float* sums, int64_t groups) {
  float term = 0;
  for (int64_t g = 0; row.offsets && g < groups; ++g) term += row.offsets[g] * sums[g];
  return term;
}

/// The products of the columns of each group after its last whole block.
template <WeightKind kind>
float tail_term(const CodeRow& row, const WeightView& weight, const float* x) {
  float term = 0;
  if (weight.group % kCodeBlock == 0 && weight.width % kCodeBlock == 0) return term;
  for (int64_t g = 0; g < weight.groups(); ++g) {
    const int64_t first = g * weight.group, last = std::min(first + weight.group, weight.width);
    term += row.scales[g] * dot_plain<kind>(row, x, last - (last - first) % kCodeBlock, last);
  }
  return term;
}

/// What kernels add to the products of whole blocks of row `row` of x and row task.out + out of the weights.
template <WeightKind kind>
float other_terms(const Task& task, int64_t row, int64_t out) {
  const CodeRow codes(task.weight, task.out + out);
  const int64_t groups = task.weight.groups();
  return tail_term<kind>(codes, task.weight, task.x + row * task.weight.width) +
         offset_term(codes, task.sums + row * groups, groups);
}

template <WeightKind kind>
void dot_one(const Task& task) {
  const CodeRow row(task.weight, task.out);
  float sum = offset_term(row, task.sums, task.weight.groups());
  for (int64_t g = 0; g < task.weight.groups(); ++g) {
    const int64_t first = g * task.weight.group, last = std::min(first + task.weight.group, task.weight.width);
    sum += row.scales[g] * dot_plain<kind>(row, task.x, first, last);
  }
  *task.y = sum;
}

template <WeightKind kind>
void widen_plain(const CodeRow& row, int64_t group, int64_t first, int64_t count, float* to) {
  for (int64_t i = first; i < first + count; ++i)
    to[i - first] = row.scales[i / group] * code_at<kind>(row.codes, i) + row.offset(i / group);
}

#if defined(__x86_64__)

/// A block of codes as floats.
template <WeightKind kind>
LITHE_AVX512 inline void load_block(const char* codes, __m512& low, __m512& high) {
  if constexpr (kind == WeightKind::int8) {
    const auto* bytes = reinterpret_cast<const __m128i*>(codes);
    low = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(bytes)));
    high = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(bytes + 1)));
  } else {
    // The table is addressed by the low four bits of an index alone.
    const __m512 values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
    low = _mm512_permutexvar_ps(bytes, values);
    high = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), values);
  }
}

/// kOuts neighbouring rows of weights with kRows rows of x. Few products at a time have two sums each, since an
/// addition takes four cycles.
template <WeightKind kind, int kRows, int kOuts>
LITHE_AVX512 void dot_avx512(const Task& task) {
  constexpr int64_t kCodesOfALine = kLineBytes * 8 / bits_of(kind);
  constexpr int kParts = kRows * kOuts <= 4 ? 2 : 1;
  const WeightView& weight = task.weight;
  const int64_t groups = weight.groups(), row_bytes = weight.bytes(weight.width);
  __m512 total[kRows][kOuts];
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOuts; ++o) total[r][o] = _mm512_setzero_ps();
  const char* const codes = weight.at(task.out, 0);
  const float* const scales = weight.scales + task.out * groups;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t end = std::min((g + 1) * weight.group, weight.width);
    __m512 part[kRows][kOuts][kParts];
    for (int r = 0; r < kRows; ++r)
      for (int o = 0; o < kOuts; ++o)
        for (int p = 0; p < kParts; ++p) part[r][o][p] = _mm512_setzero_ps();
    for (int64_t i = g * weight.group; i + kCodeBlock <= end; i += kCodeBlock) {
      __m512 low[kOuts], high[kOuts];
      for (int o = 0; o < kOuts; ++o) {
        const char* const block = codes + o * row_bytes + weight.bytes(i);
        if (i % kCodesOfALine == 0) prefetch_next_rows(codes, row_bytes, kOuts, o, weight.bytes(i));
        load_block<kind>(block, low[o], high[o]);
      }
      for (int r = 0; r < kRows; ++r) {
        const float* const x = task.x + r * weight.width + i;
        const __m512 first = _mm512_loadu_ps(x), second = _mm512_loadu_ps(x + 16);
        for (int o = 0; o < kOuts; ++o) {
          part[r][o][0] = _mm512_fmadd_ps(low[o], first, part[r][o][0]);
          part[r][o][kParts - 1] = _mm512_fmadd_ps(high[o], second, part[r][o][kParts - 1]);
        }
      }
    }
    for (int r = 0; r < kRows; ++r) {
      for (int o = 0; o < kOuts; ++o) {
        const __m512 sum = kParts == 1 ? part[r][o][0] : _mm512_add_ps(part[r][o][0], part[r][o][kParts - 1]);
        total[r][o] = _mm512_fmadd_ps(_mm512_set1_ps(scales[o * groups + g]), sum, total[r][o]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOuts; ++o)
      task.y[r * weight.outs + o] = _mm512_reduce_add_ps(total[r][o]) + other_terms<kind>(task, r, o);
}

template <WeightKind kind>
LITHE_AVX512 void widen_avx512(const CodeRow& row, int64_t group, int64_t first, int64_t count, float* to) {
  int64_t i = first;
  for (; i + kCodeBlock <= first + count && group % kCodeBlock == 0; i += kCodeBlock) {
    __m512 low, high;
    load_block<kind>(row.codes + i * bits_of(kind) / 8, low, high);
    const __m512 scale = _mm512_set1_ps(row.scales[i / group]), offset = _mm512_set1_ps(row.offset(i / group));
    _mm512_storeu_ps(to + i - first, _mm512_fmadd_ps(low, scale, offset));
    _mm512_storeu_ps(to + i - first + 16, _mm512_fmadd_ps(high, scale, offset));
  }
  widen_plain<kind>(row, group, i, first + count - i, to + i - first);
}

/// Half a block: codes 0 to 7 and 16 to 23 if `second` is 0, else 8 to 15 and 24 to 31.
template <WeightKind kind>
LITHE_AVX2 inline void load_half(const char* codes, int second, __m256& low, __m256& high) {
  const auto eight = [](const char* at) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)); };
  if constexpr (kind == WeightKind::int8) {
    low = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight(codes + 8 * second)));
    high = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight(codes + 8 * second + 16)));
  } else {
    const __m256i bytes = _mm256_cvtepu8_epi32(eight(codes + 8 * second)), zero = _mm256_set1_epi32(8);
    low = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_and_si256(bytes, _mm256_set1_epi32(15)), zero));
    high = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(bytes, 4), zero));
  }
}

/// As dot_avx512.
template <WeightKind kind, int kRows, int kOuts>
LITHE_AVX2 void dot_avx2(const Task& task) {
  const WeightView& weight = task.weight;
  const int64_t groups = weight.groups(), row_bytes = weight.bytes(weight.width);
  __m256 total[kRows][kOuts];
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOuts; ++o) total[r][o] = _mm256_setzero_ps();
  const char* const codes = weight.at(task.out, 0);
  const float* const scales = weight.scales + task.out * groups;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t end = std::min((g + 1) * weight.group, weight.width);
    __m256 part[kRows][kOuts];
    for (int r = 0; r < kRows; ++r)
      for (int o = 0; o < kOuts; ++o) part[r][o] = _mm256_setzero_ps();
    for (int64_t i = g * weight.group; i + kCodeBlock <= end; i += kCodeBlock) {
      for (int half = 0; half < 2; ++half) {
        __m256 low[kOuts], high[kOuts];
        for (int o = 0; o < kOuts; ++o) load_half<kind>(codes + o * row_bytes + weight.bytes(i), half, low[o], high[o]);
        for (int r = 0; r < kRows; ++r) {
          const float* const x = task.x + r * weight.width + i + 8 * half;
          const __m256 first = _mm256_loadu_ps(x), second = _mm256_loadu_ps(x + 16);
          for (int o = 0; o < kOuts; ++o)
            part[r][o] = _mm256_fmadd_ps(high[o], second, _mm256_fmadd_ps(low[o], first, part[r][o]));
        }
      }
    }
    for (int r = 0; r < kRows; ++r) {
      for (int o = 0; o < kOuts; ++o) {
        total[r][o] = _mm256_fmadd_ps(_mm256_set1_ps(scales[o * groups + g]), part[r][o], total[r][o]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int o = 0; o < kOuts; ++o) task.y[r * weight.outs + o] = sum8(total[r][o]) + other_terms<kind>(task, r, o);
}

template <WeightKind kind>
LITHE_AVX2 void widen_avx2(const CodeRow& row, int64_t group, int64_t first, int64_t count, float* to) {
  int64_t i = first;
  for (; i + kCodeBlock <= first + count && group % kCodeBlock == 0; i += kCodeBlock) {
    const __m256 scale = _mm256_set1_ps(row.scales[i / group]), offset = _mm256_set1_ps(row.offset(i / group));
    for (int half = 0; half < 2; ++half) {
      __m256 low, high;
      load_half<kind>(row.codes + i * bits_of(kind) / 8, half, low, high);
      float* const out = to + i - first + 8 * half;
      _mm256_storeu_ps(out, _mm256_fmadd_ps(low, scale, offset));
      _mm256_storeu_ps(out + 16, _mm256_fmadd_ps(high, scale, offset));
    }
  }
  widen_plain<kind>(row, group, i, first + count - i, to + i - first);
}

using Dot = void (*)(const Task& task);

template <WeightKind kind>
struct Avx512 {
  static constexpr std::array<int64_t, 8> kOuts{4, 4, 4, 2, 2, 2, 1, 1};
  template <int rows, int outs>
  static constexpr Dot kDot = dot_avx512<kind, rows, outs>;
};

template <WeightKind kind>
struct Avx2 {
  static constexpr std::array<int64_t, 4> kOuts{4, 2, 1, 1};
  template <int rows, int outs>
  static constexpr Dot kDot = dot_avx2<kind, rows, outs>;
};

template <WeightKind kind>
Dots<Dot> dots_of(VectorSet set) {
  return set >= VectorSet::avx512 ? dots_in<Dot, Avx512<kind>>() : dots_in<Dot, Avx2<kind>>();
}
#endif

/// All rows of x times the rows of weights [first, last), some at a time.
template <WeightKind kind>
void dot_kind(const WeightView& weight, int64_t first, int64_t last, const float* x, int64_t rows, float* y) {
  const std::vector<float> sums = group_sums(weight, x, rows);
  const auto task = [&](int64_t out, int64_t row) {
    return Task{weight, out, x + row * weight.width, sums.data() + (sums.empty() ? 0 : row * weight.groups()),
                y + row * weight.outs + out};
  };
#if defined(__x86_64__)
  if (vector_set() != VectorSet::plain) {
    const Dots<Dot> dots = dots_of<kind>(vector_set());
    for (int64_t row = 0; row < rows; row += dots.rows) {
      const auto count = static_cast<size_t>(std::min(dots.rows, rows - row) - 1);
      const int64_t outs = dots.outs[count];
      int64_t out = first;
      for (; out + outs <= last; out += outs) dots.some[count](task(out, row));
      for (; out < last; ++out) dots.one[count](task(out, row));
    }
    return;
  }
#endif
  for (int64_t out = first; out < last; ++out)
    for (int64_t row = 0; row < rows; ++row) dot_one<kind>(task(out, row));
}

template <WeightKind kind>
void widen_kind(const WeightView& weight, int64_t out, int64_t first, int64_t count, float* to) {
  const CodeRow row(weight, out);
#if defined(__x86_64__)
  if (vector_set() >= VectorSet::avx512) return widen_avx512<kind>(row, weight.group, first, count, to);
  if (vector_set() == VectorSet::avx2) return widen_avx2<kind>(row, weight.group, first, count, to);
#endif
  widen_plain<kind>(row, weight.group, first, count, to);
}

}  // namespace

void widen_codes(const WeightView& weight, int64_t out, int64_t first, int64_t count, float* to) {
  if (has_half_groups(weight)) return widen_half_groups(weight, out, first, count, to);
  if (weight.kind == WeightKind::int8) return widen_kind<WeightKind::int8>(weight, out, first, count, to);
  widen_kind<WeightKind::int4>(weight, out, first, count, to);
}

void dot_codes(const WeightView& weight, int64_t first, int64_t last, const float* x, int64_t rows, float* y) {
  if (has_half_groups(weight)) return dot_half_groups(weight, first, last, x, rows, y);
  if (weight.kind == WeightKind::int8) return dot_kind<WeightKind::int8>(weight, first, last, x, rows, y);
  dot_kind<WeightKind::int4>(weight, first, last, x, rows, y);
}

}  // namespace lithe::ops
