#include "ops/weight_kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "vector_sets.h"

namespace lithe::ops {
namespace {

constexpr int64_t kPatterns = 65536;

/// Every 16-bit pattern, widened; `count` of them from `first`.
std::vector<float> widened(WeightKind kind, int64_t first, int64_t count) {
  std::vector<uint16_t> bits(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) bits[static_cast<size_t>(i)] = static_cast<uint16_t>(first + i);
  std::vector<float> out(static_cast<size_t>(count));
  widen({kind, bits.data(), 1, count}, 0, 0, count, out.data());
  return out;
}

/// By the definition of the formats: sign, exponent, mantissa.
float by_definition(WeightKind kind, uint32_t bits) {
  const int mantissa_bits = kind == WeightKind::bfloat16 ? 7 : 10, exponent_bits = 15 - mantissa_bits;
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

void expect_all_patterns(WeightKind kind) {
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

TEST(WeightKernels, WidenEveryPatternExactly) {
  for_every_vector_set([] {
    expect_all_patterns(WeightKind::bfloat16);
    expect_all_patterns(WeightKind::float16);
  });
}

TEST(WeightKernels, WidenAnyCountFromAnyAddress) {
  for (const WeightKind kind : {WeightKind::bfloat16, WeightKind::float16}) {
    for (int64_t count = 0; count <= 40; ++count) {
      const std::vector<float> values = widened(kind, 15000 + count, count);
      for (int64_t i = 0; i < count; ++i) {
        EXPECT_EQ(values[static_cast<size_t>(i)], by_definition(kind, static_cast<uint32_t>(15000 + count + i)));
      }
    }
  }
}

/// Weights just above 1 in every storage, and their values.
struct Stored {
  std::vector<uint16_t> bits;
  std::vector<float> values;

  Stored(WeightKind kind, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      bits.push_back(static_cast<uint16_t>((kind == WeightKind::bfloat16 ? 0x3F80 : 0x3C00) + i % 5));
      values.push_back(kind == WeightKind::float32 ? 1.0f + static_cast<float>(i % 7) / 8
                                                   : by_definition(kind, bits.back()));
    }
  }
  const void* data(WeightKind kind) const {
    return kind == WeightKind::float32 ? static_cast<const void*>(values.data()) : bits.data();
  }
};

void expect_dots(WeightKind kind, int64_t rows, int64_t outs, int64_t width) {
  const Stored weights(kind, outs * width);
  std::vector<float> x;
  for (int64_t i = 0; i < rows * width; ++i) x.push_back(static_cast<float>((i * 7) % 11 - 5));
  std::vector<float> y(static_cast<size_t>(rows * outs), -99.0f);
  dot_rows({kind, weights.data(kind), outs, width}, 1, outs, x.data(), rows, y.data());
  for (int64_t row = 0; row < rows; ++row) {
    EXPECT_EQ(y[static_cast<size_t>(row * outs)], -99.0f);
    for (int64_t out = 1; out < outs; ++out) {
      double expected = 0;
      for (int64_t i = 0; i < width; ++i) {
        expected +=
            double{weights.values[static_cast<size_t>(out * width + i)]} * x[static_cast<size_t>(row * width + i)];
      }
      EXPECT_NEAR(y[static_cast<size_t>(row * outs + out)], expected, 1e-4) << rows << " rows of " << width;
    }
  }
}

TEST(WeightKernels, DotEveryRowCountAndWidth) {
  for_every_vector_set([] {
    for (const WeightKind kind : {WeightKind::float32, WeightKind::bfloat16, WeightKind::float16}) {
      for (int64_t rows = 1; rows <= kMostDotRows; ++rows) {
        for (int64_t width = 1; width <= 70; ++width) expect_dots(kind, rows, 2 + width % 3, width);
      }
    }
  });
}

}  // namespace
}  // namespace lithe::ops
