#include "models/parts/noise.h"

#include <ATen/Parallel.h>

#include "base/mixed.h"

namespace lithe::models {
namespace {

/// The i-th number of a stream in [-1, 1).
float noise(uint64_t seed, uint64_t i) {
  return static_cast<float>(static_cast<int32_t>(mixed(seed, i) >> 32)) * 0x1p-31f;
}

template <class T>
void fill(at::Tensor& tensor, float bound, uint64_t seed) {
  T* data = tensor.mutable_data_ptr<T>();
  at::parallel_for(0, tensor.numel(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) data[i] = static_cast<T>(bound * noise(seed, static_cast<uint64_t>(i)));
  });
}

}  // namespace

void fill_with_noise(at::Tensor& tensor, float bound, uint64_t seed) {
  if (tensor.scalar_type() == at::kBFloat16)
    fill<at::BFloat16>(tensor, bound, seed);
  else if (tensor.scalar_type() == at::kHalf)
    fill<at::Half>(tensor, bound, seed);
  else
    fill<float>(tensor, bound, seed);
}

}  // namespace lithe::models
