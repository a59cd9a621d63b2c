#pragma once

#include <cstdint>

namespace lithe::ops {

/// How cached keys and values are stored. Sums are float32 in any case.
enum class KeyValueKind { float32, bfloat16 };

constexpr int64_t bytes_of(KeyValueKind kind) {
  return kind == KeyValueKind::float32 ? 4 : 2;
}

/// Rows of one block of keys and values (ops/key_values.h).
constexpr int64_t kBlockRows = 64;

/// How many blocks hold this many rows.
constexpr int64_t blocks_for(int64_t rows) {
  return (rows + kBlockRows - 1) / kBlockRows;
}

}  // namespace lithe::ops
