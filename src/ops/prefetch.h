#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>

namespace lithe::ops {

/// Prefetches what is read `ahead` bytes after `address`, which is byte `offset` of a row of `row_bytes`, if `rows`
/// neighbouring rows are read side by side and then the next `rows`. The processor's own prefetching ends at every
/// page, and does not know in which row the reading goes on.
inline __attribute__((always_inline)) void prefetch_rows(const char* address, int64_t offset, int64_t row_bytes,
                                                         int64_t rows, int64_t ahead) {
  const int64_t turn = offset + ahead >= row_bytes ? (rows - 1) * row_bytes : 0;
  _mm_prefetch(address + ahead + turn, _MM_HINT_T0);
}

}  // namespace lithe::ops
#endif
