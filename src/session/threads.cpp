#include "session/threads.h"

#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <sched.h>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>

#include "base/error.h"

namespace lithe::session {
namespace {

constexpr int64_t kMaxThreads = 1024;

// The quota of the control group in cores, or a large number. In a container the quota, not the mask, says what is
// there.
int64_t quota_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return kMaxThreads;
  double microseconds = 0;
  const auto [end, error] = std::from_chars(quota.data(), quota.data() + quota.size(), microseconds);
  if (error != std::errc() || microseconds <= 0) return kMaxThreads;
  return std::max<int64_t>(1, std::llround(std::ceil(microseconds / period)));
}

// "cuda" or "cuda:N"; -1 for anything else.
int64_t cuda_index(const std::string& device) {
  if (device == "cuda") return 0;
  if (device.rfind("cuda:", 0) != 0) return -1;
  int64_t index = -1;
  const char* const last = device.data() + device.size();
  const auto [end, error] = std::from_chars(device.data() + 5, last, index);
  return error == std::errc() && end == last && index < 128 ? index : -1;
}

}  // namespace

int64_t cores_available() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  const int64_t cores = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 1;
  return std::clamp<int64_t>(std::min(cores, quota_cores()), 1, kMaxThreads);
}

void set_threads(int64_t count) {
  require(count >= 1 && count <= kMaxThreads, Fault::bad_request, "The number of threads is ", count, "; give 1 to ",
          kMaxThreads, ".");
  at::set_num_threads(static_cast<int>(count));
}

void prepare_device(const std::string& device) {
  if (device == "cpu") return;
  const int64_t index = cuda_index(device);
  require(index >= 0, Fault::bad_request, "There is no device '", device, "'; give cpu, cuda or cuda:N.");
  void* const library = dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    const char* const reason = dlerror();
    fail(Fault::bad_request, "Device '", device, "' can't be used, because CUDA's libraries don't load (",
         reason == nullptr ? "no reason given" : reason, "); run `make setup GPU=1`, or take the device cpu.");
  }
  const int64_t devices = at::detail::getCUDAHooks().deviceCount();
  require(index < devices, Fault::bad_request, "Device '", device, "' does not exist: CUDA sees ", devices,
          " devices; take another number or the device cpu.");
}

std::string device_of_process(const std::string& device, int64_t local_rank) {
  if (device != "cuda") return device;
  const int64_t devices = std::max<int64_t>(at::detail::getCUDAHooks().deviceCount(), 1);
  return concat("cuda:", local_rank % devices);
}

std::string device_name(const std::string& device) {
  const int64_t index = cuda_index(device);
  void* const driver = index < 0 ? nullptr : dlopen("libcuda.so.1", RTLD_NOW);
  if (driver == nullptr) return device;
  const auto device_of = reinterpret_cast<int (*)(int* handle, int ordinal)>(dlsym(driver, "cuDeviceGet"));
  const auto name_of = reinterpret_cast<int (*)(char* name, int size, int handle)>(dlsym(driver, "cuDeviceGetName"));
  int handle = 0;
  char name[256] = "";
  const bool named = device_of != nullptr && name_of != nullptr && device_of(&handle, static_cast<int>(index)) == 0 &&
                     name_of(name, sizeof name, handle) == 0;
  return named ? concat(name, " (", device, ")") : device;
}

}  // namespace lithe::session
