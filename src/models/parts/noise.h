#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lithe::models {

/// Fills a contiguous tensor of float32, bfloat16 or float16 on the CPU with numbers in [-bound, bound). The same seed
/// gives the same numbers, whatever the number of threads.
void fill_with_noise(at::Tensor& tensor, float bound, uint64_t seed);

/// A step from one seed to the next.
constexpr uint64_t kNextSeed = 0x632be59bd9b4e019ULL;

}  // namespace lithe::models
