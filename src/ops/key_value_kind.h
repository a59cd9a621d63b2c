#pragma once

#include <cstdint>

namespace lithe::ops {

/// How cached keys and values are stored. Sums are float32 in any case.
enum class KeyValueKind { float32, bfloat16, int8 };

constexpr int64_t bytes_of(KeyValueKind kind) {
  switch (kind) {
    case KeyValueKind::float32:
      return 4;
    case KeyValueKind::bfloat16:
      return 2;
    case KeyValueKind::int8:
      return 1;
  }
  return 0;
}

/// Bytes beside the values of one head's key, or of its value: the scale of its codes.
constexpr int64_t scale_bytes_of(KeyValueKind kind) {
  return kind == KeyValueKind::int8 ? 4 : 0;
}

/// Bytes of one head's key and value.
constexpr int64_t pair_bytes(KeyValueKind kind, int64_t head_dim) {
  return 2 * (head_dim * bytes_of(kind) + scale_bytes_of(kind));
}

/// Rows of one block of keys and values (ops/key_values.h).
constexpr int64_t kBlockRows = 64;

/// How many blocks hold this many rows.
constexpr int64_t blocks_for(int64_t rows) {
  return (rows + kBlockRows - 1) / kBlockRows;
}

}  // namespace lithe::ops
