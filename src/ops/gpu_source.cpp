#include "ops/gpu_program.h"

namespace lithe::ops {

// Every kernel computes in float32. A name ends with the types that it reads and writes.
const char* const kGpuSource = R"cuda(
struct bf16 { unsigned short bits; };
struct f16 { unsigned short bits; };

__device__ float wide(float value) { return value; }
__device__ float wide(bf16 value) { return __uint_as_float(unsigned(value.bits) << 16); }
__device__ float wide(f16 value) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
}

__device__ void put(float& to, float value) { to = value; }
__device__ void put(bf16& to, float value) {  // to the nearest, ties to even
  const unsigned bits = __float_as_uint(value);
  to.bits = value == value ? (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16 : 0x7fffu;
}
__device__ void put(f16& to, float value) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(to.bits) : "f"(value)); }

/// The sum over the block, in every thread.
__device__ float block_sum(float value) {
  __shared__ float of_warp[32];
  for (int step = 16; step > 0; step >>= 1) value += __shfl_xor_sync(0xffffffffu, value, step);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  value = threadIdx.x % 32 < blockDim.x / 32 ? of_warp[threadIdx.x % 32] : 0.0f;
  for (int step = 16; step > 0; step >>= 1) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

/// One block a row.
template <class In, class Out>
__device__ void rms_norm(const In* x, const float* gain, Out* y, int width, float eps) {
  x += (long long)blockIdx.x * width;
  y += (long long)blockIdx.x * width;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < width; i += blockDim.x) squares += wide(x[i]) * wide(x[i]);
  const float scale = rsqrtf(block_sum(squares) / width + eps);
  for (int i = threadIdx.x; i < width; i += blockDim.x) put(y[i], gain[i] * (wide(x[i]) * scale));
}

/// Pairs (i, i + half) of each head, in place.  grid: (rows, pairs of a row / threads)
template <class T>
__device__ void rotate(T* x, const float* cosine, const float* sine, long long stride, int heads, int half) {
  const int pair = blockIdx.y * blockDim.x + threadIdx.x;
  if (pair >= heads * half) return;
  const int head = pair / half, i = pair % half;
  T* first = x + blockIdx.x * stride + head * 2 * half + i;
  T* second = first + half;
  const float c = cosine[(long long)blockIdx.x * half + i], s = sine[(long long)blockIdx.x * half + i];
  const float a = wide(*first), b = wide(*second);
  put(*first, a * c - b * s);
  put(*second, b * c + a * s);
}

/// silu(gate) up.  grid: (rows, width / threads)
template <class T>
__device__ void swiglu(const T* gate, const T* up, T* y, long long gate_stride, long long up_stride, int width) {
  const int i = blockIdx.y * blockDim.x + threadIdx.x;
  if (i >= width) return;
  const float g = wide(gate[blockIdx.x * gate_stride + i]), u = wide(up[blockIdx.x * up_stride + i]);
  put(y[(long long)blockIdx.x * width + i], g / (1.0f + __expf(-g)) * u);
}

/// Rows of keys and of values into a block.  grid: (rows, width / threads)
template <class T>
__device__ void store(const T* keys, const T* values, T* to_keys, T* to_values, long long key_stride,
                      long long value_stride, int width) {
  const int i = blockIdx.y * blockDim.x + threadIdx.x;
  if (i >= width) return;
  to_keys[(long long)blockIdx.x * width + i] = keys[blockIdx.x * key_stride + i];
  to_values[(long long)blockIdx.x * width + i] = values[blockIdx.x * value_stride + i];
}

/// h + branch, each row of it times its weight. grid: (rows, width / threads)
template <class T>
__device__ void add_weighted(const float* h, const T* branch, const float* weight, float* y, int width) {
  const int i = blockIdx.y * blockDim.x + threadIdx.x;
  const long long at = (long long)blockIdx.x * width + i;
  if (i < width) y[at] = h[at] + weight[blockIdx.x] * wide(branch[at]);
}

/// Rows that have a place among `active` as they are there, the others times their weight. One block a row.
extern "C" __global__ void merge(const float* x, const float* weight, const float* active, const long long* places,
                                 float* y, int width) {
  const long long place = places[blockIdx.x];
  const float* from = place < 0 ? x + (long long)blockIdx.x * width : active + place * width;
  const float factor = place < 0 ? weight[blockIdx.x] : 1.0f;
  for (int i = threadIdx.x; i < width; i += blockDim.x) y[(long long)blockIdx.x * width + i] = factor * from[i];
}

#define ROW_KERNELS(name, T)                                                                                       \
  extern "C" __global__ void rms_norm_f32_##name(const float* x, const float* gain, T* y, int width, float eps) {  \
    rms_norm(x, gain, y, width, eps);                                                                              \
  }                                                                                                                \
  extern "C" __global__ void rotate_##name(T* x, const float* cosine, const float* sine, long long stride,         \
                                           int heads, int half) {                                                  \
    rotate(x, cosine, sine, stride, heads, half);                                                                  \
  }                                                                                                                \
  extern "C" __global__ void swiglu_##name(const T* gate, const T* up, T* y, long long gate_stride,                \
                                           long long up_stride, int width) {                                       \
    swiglu(gate, up, y, gate_stride, up_stride, width);                                                            \
  }                                                                                                                \
  extern "C" __global__ void add_weighted_##name(const float* h, const T* branch, const float* weight, float* y,       \
                                                 int width) {                                                      \
    add_weighted(h, branch, weight, y, width);                                                                     \
  }                                                                                                                \
  extern "C" __global__ void store_##name(const T* keys, const T* values, T* to_keys, T* to_values,       \
                                                   long long key_stride, long long value_stride, int width) {      \
    store(keys, values, to_keys, to_values, key_stride, value_stride, width);                                      \
  }

/// What a router makes of rows: chosen[i] for row index[i], and the same at its place in `all`. One block a row.
/// norm: 0 tanh, 1 sigmoid, 2 none
extern "C" __global__ void gate(const float* hidden, const long long* index, const float* router, const float* bias,
                                float* chosen, float* all, int width, int norm, float scale, float offset) {
  const long long row = index[blockIdx.x];
  float sum = 0.0f;
  for (int i = threadIdx.x; i < width; i += blockDim.x) sum += hidden[row * width + i] * router[i];
  sum = block_sum(sum);
  if (threadIdx.x > 0) return;
  const float logit = bias ? sum + *bias : sum;
  const float normed = norm == 0 ? tanhf(logit) : norm == 1 ? 1.0f / (1.0f + expf(-logit)) : logit;
  chosen[blockIdx.x] = all[row] = normed * scale + offset;
}

__device__ void take_row(const float* from, float* to, long long row, int width) {
  for (int i = threadIdx.x; i < width; i += blockDim.x) to[(long long)blockIdx.x * width + i] = from[row * width + i];
}

/// The same rows of four tables. One block a row.
extern "C" __global__ void gather(const long long* index, const float* a, const float* b, const float* c,
                                  const float* d, float* to_a, float* to_b, float* to_c, float* to_d, int width_a,
                                  int width_b, int width_c, int width_d) {
  const long long row = index[blockIdx.x];
  take_row(a, to_a, row, width_a);
  take_row(b, to_b, row, width_b);
  take_row(c, to_c, row, width_c);
  take_row(d, to_d, row, width_d);
}

ROW_KERNELS(f32, float)
ROW_KERNELS(bf16, bf16)
ROW_KERNELS(f16, f16)
)cuda";

}  // namespace lithe::ops
