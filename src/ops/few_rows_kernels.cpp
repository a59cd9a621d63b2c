#include "ops/few_rows_kernels.h"

#include <array>
#include <bit>

#include "base/vector_set.h"
#include "ops/few_rows_avx2.h"
#include "ops/few_rows_avx512.h"

namespace lithe::ops {
namespace {

constexpr int64_t kMostWords = 128;  // of a group of x

// In the kernels, shifts and masks take a word of weights apart. The two codes of a part of 16 bits are two columns
// apart: those of bytes 0 and 2 of the word, or of bytes 1 and 3. So the middle two of every four columns of x change
// places.
int32_t swap_pairs(const int32_t* words, int64_t count, uint32_t* to) {
  int32_t sum = 0;
  const auto* const codes = reinterpret_cast<const int16_t*>(words);
  for (int64_t i = 0; i < 2 * count; ++i) sum += codes[i];
  for (int64_t i = 0; i < count; i += 2) {
    const auto first = std::bit_cast<uint32_t>(words[i]), second = std::bit_cast<uint32_t>(words[i + 1]);
    to[i] = (first & 0xFFFFu) | second << 16;
    to[i + 1] = first >> 16 | (second & 0xFFFF0000u);
  }
  return sum;
}

int32_t with_sign(const int32_t* words, int64_t count, uint32_t* to) {
  int32_t sum = 0;
  const auto* const codes = reinterpret_cast<const uint8_t*>(words);
  for (int64_t i = 0; i < 4 * count; ++i) sum += codes[i];
  for (int64_t i = 0; i < count; ++i) to[i] = std::bit_cast<uint32_t>(words[i]) ^ 0x80808080u;
  return sum - static_cast<int32_t>(4 * count) * kZeroOfRows;
}

/// A block of int4 has its first 16 columns in the low halves of bytes, the others in the high halves: so words of both
/// halves take turns, kTogether at a time.
template <int64_t kWordsOfAHalf, int64_t kTogether>
void place_halves(const uint32_t* words, int64_t count, int32_t* to, int64_t stride) {
  for (int64_t block = 0; block < count; block += 2 * kWordsOfAHalf) {
    for (int64_t i = 0; i < kWordsOfAHalf; i += kTogether) {
      for (int64_t half = 0; half < 2; ++half) {
        for (int64_t k = 0; k < kTogether; ++k, to += stride)
          *to = std::bit_cast<int32_t>(words[block + half * kWordsOfAHalf + i + k]);
      }
    }
  }
}

}  // namespace

const FewRowsKernel* few_rows_kernel() {
#if defined(__x86_64__)
  if (vector_set() >= VectorSet::avx512_vnni) return &few_rows_avx512();
  static const FewRowsKernel without_vnni = [] {
    FewRowsKernel kernel = few_rows_avx512();
    kernel.add_codes = few_rows_avx2().add_codes;
    kernel.most_code_rows = few_rows_avx2().most_code_rows;
    return kernel;
  }();
  if (vector_set() == VectorSet::avx512) return &without_vnni;
  if (vector_set() == VectorSet::avx2) return &few_rows_avx2();
#endif
  return nullptr;
}

int32_t place_codes(const int32_t* words, int64_t count, WeightKind kind, RowCodes codes, int32_t* to, int64_t stride) {
  std::array<uint32_t, kMostWords> ordered;
  const bool pairs = codes == RowCodes::int16;
  const int32_t sum = (pairs ? swap_pairs : with_sign)(words, count, ordered.data());
  if (kind == WeightKind::int4) {
    (pairs ? place_halves<8, 2> : place_halves<4, 1>)(ordered.data(), count, to, stride);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i * stride] = std::bit_cast<int32_t>(ordered[static_cast<size_t>(i)]);
  }
  return sum;
}

}  // namespace lithe::ops
