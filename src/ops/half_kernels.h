#pragma once

#include <cstdint>

// Kernels over 16-bit weights, chosen for the processor at run time. `bits` are bfloat16 or IEEE float16 words.
namespace lithe::ops {

enum class HalfKind { bfloat16, float16 };

/// out[i] = float32(bits[i]).
void widen(HalfKind kind, const uint16_t* bits, int64_t count, float* out);

/// out[r * out_stride] = dot(float32(bits), x[r]) for r < rows <= 4.  bits: [width], x: rows of `width` floats.
void dot_rows(HalfKind kind, const uint16_t* bits, const float* x, int64_t rows, int64_t width, float* out,
              int64_t out_stride);

/// For tests: dot_rows and widen use the plain loops from now on (true) or what the processor has (false).
void force_plain_half_kernels(bool plain);

}  // namespace lithe::ops
