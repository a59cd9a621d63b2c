#include "ops/half_kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace lithe::ops {
namespace {

constexpr int64_t kPatterns = 65536;

/// Every 16-bit pattern, widened; `count` of them from `first`.
std::vector<float> widened(HalfKind kind, int64_t first, int64_t count) {
  std::vector<uint16_t> bits(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) bits[static_cast<size_t>(i)] = static_cast<uint16_t>(first + i);
  std::vector<float> out(static_cast<size_t>(count));
  widen(kind, bits.data(), count, out.data());
  return out;
}

/// By the definition of the formats: sign, exponent, mantissa.
float by_definition(HalfKind kind, uint32_t bits) {
  const int mantissa_bits = kind == HalfKind::bfloat16 ? 7 : 10, exponent_bits = 15 - mantissa_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1, exponent = static_cast<int>((bits & 0x7FFFu) >> mantissa_bits);
  const double mantissa = static_cast<double>(bits & ((1u << mantissa_bits) - 1)),
               unit = std::ldexp(1.0, -mantissa_bits);
  double value = 0;
  if (exponent == (1 << exponent_bits) - 1) {
    value = mantissa == 0 ? HUGE_VAL : std::nan("");
  } else if (exponent == 0) {
    value = std::ldexp(mantissa * unit, 1 - bias);
  } else {
    value = std::ldexp(1.0 + mantissa * unit, exponent - bias);
  }
  return static_cast<float>(std::copysign(value, bits & 0x8000u ? -1.0 : 1.0));
}

void expect_all_patterns(HalfKind kind) {
  const std::vector<float> values = widened(kind, 0, kPatterns);
  for (uint32_t bits = 0; bits < kPatterns; ++bits) {
    const float expected = by_definition(kind, bits), actual = values[bits];
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(actual)) << "pattern " << bits;  // a processor may make a signalling NaN quiet
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(actual), std::bit_cast<uint32_t>(expected)) << "pattern " << bits;
    }
  }
}

TEST(HalfKernels, WidenEveryPatternExactly) {
  for (const bool plain : {false, true}) {
    force_plain_half_kernels(plain);
    expect_all_patterns(HalfKind::bfloat16);
    expect_all_patterns(HalfKind::float16);
  }
  force_plain_half_kernels(false);
}

TEST(HalfKernels, WidenAnyCountFromAnyAddress) {
  for (const HalfKind kind : {HalfKind::bfloat16, HalfKind::float16}) {
    for (int64_t count = 0; count <= 40; ++count) {
      const std::vector<float> values = widened(kind, 15000 + count, count);
      for (int64_t i = 0; i < count; ++i) {
        EXPECT_EQ(values[static_cast<size_t>(i)], by_definition(kind, static_cast<uint32_t>(15000 + count + i)));
      }
    }
  }
}

TEST(HalfKernels, DotEveryRowCountWidthAndStride) {
  for (const HalfKind kind : {HalfKind::bfloat16, HalfKind::float16}) {
    for (int64_t rows = 1; rows <= 4; ++rows) {
      for (int64_t width = 1; width <= 70; ++width) {
        const uint16_t one = kind == HalfKind::bfloat16 ? 0x3F80 : 0x3C00;  // 1, and the numbers a little above
        std::vector<uint16_t> bits;
        std::vector<float> x;
        for (int64_t i = 0; i < width; ++i) bits.push_back(static_cast<uint16_t>(one + i % 5));
        for (int64_t i = 0; i < rows * width; ++i) x.push_back(static_cast<float>((i * 7) % 11 - 5));
        std::vector<float> out(static_cast<size_t>(rows * 3), -99.0f);
        dot_rows(kind, bits.data(), x.data(), rows, width, out.data(), 3);
        for (int64_t row = 0; row < rows; ++row) {
          double expected = 0;
          for (int64_t i = 0; i < width; ++i) {
            expected += static_cast<double>(by_definition(kind, bits[static_cast<size_t>(i)])) *
                        x[static_cast<size_t>(row * width + i)];
          }
          EXPECT_NEAR(out[static_cast<size_t>(row * 3)], expected, 1e-4) << rows << " rows of " << width;
          EXPECT_EQ(out[static_cast<size_t>(row * 3 + 1)], -99.0f);
        }
      }
    }
  }
}

}  // namespace
}  // namespace lithe::ops
