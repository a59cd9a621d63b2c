#pragma once

#include <cstdint>

namespace lithe::ops {

/// How weights lie in memory: float32, or the words of bfloat16 or IEEE float16.
enum class WeightKind { float32, bfloat16, float16 };

constexpr int64_t bytes_of(WeightKind kind) {
  return kind == WeightKind::float32 ? 4 : 2;
}

/// A matrix of weights, [outs, width], row-major.
struct WeightView {
  WeightKind kind = WeightKind::float32;
  const void* data = nullptr;
  int64_t outs = 0, width = 0;

  /// The address of a weight.
  const char* at(int64_t out, int64_t column) const {
    return static_cast<const char*>(data) + (out * width + column) * bytes_of(kind);
  }
};

}  // namespace lithe::ops
