#pragma once

#include <cstdint>

namespace lithe::ops {

constexpr int64_t kLineBytes = 64;
/// Of __builtin_prefetch: the cache that a line is wanted in.
constexpr int kFirstLevel = 3, kSecondLevel = 2;

/// `rows` neighbouring rows of `row_bytes` are read side by side, and then the next ones. When the line at `offset` of
/// row number `row` is read, this prefetches a line of the next ones. They are prefetched in the order of their
/// addresses, since the processor's own prefetching follows that, but not several rows at a time. first: the first row
/// that is read. offset: a multiple of kLineBytes.
inline __attribute__((always_inline)) void prefetch_next_rows(const char* first, int64_t row_bytes, int64_t rows,
                                                              int64_t row, int64_t offset) {
  __builtin_prefetch(first + rows * (row_bytes + offset) + row * kLineBytes, 0, kFirstLevel);
}

/// Prefetches some bytes into the second-level cache.
inline void fetch_span(const char* first, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += kLineBytes) __builtin_prefetch(first + i, 0, kSecondLevel);
}

}  // namespace lithe::ops
