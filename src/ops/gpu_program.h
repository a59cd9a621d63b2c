#pragma once

#include <c10/core/Device.h>

#include <span>
#include <string>

namespace lithe::ops {

/// Our own kernels for a GPU, as CUDA C++.
extern const char* const kGpuSource;

struct GpuGrid {
  int64_t x = 1, y = 1;
  int threads = 256;
};

/// Whether our own kernels run on this device: the first call compiles them for it, with the NVRTC that PyTorch brings.
/// False on the CPU, and on a GPU for which they can't be compiled; LibTorch's operations then do the same, slower.
bool has_gpu_program(c10::Device device);

/// Starts a kernel after what was started on the device's current stream. `arguments`: pointers to the values.
/// Throws Error{internal} if there is no such kernel, or if the driver refuses the launch.
void launch_on_gpu(const std::string& kernel, c10::Device device, const GpuGrid& grid,
                   std::span<void* const> arguments);

}  // namespace lithe::ops
