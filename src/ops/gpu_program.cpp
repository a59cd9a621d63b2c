#include "ops/gpu_program.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/error.h"

namespace lithe::ops {
namespace {

using CudaFunction = void*;

/// The few functions of CUDA's driver and of NVRTC that are used, so that neither its headers nor its libraries are
/// needed to build Lithe.
struct CudaApi {
  int (*create)(void** program, const char* source, const char* name, int headers, const char* const* texts,
                const char* const* names);
  int (*compile)(void* program, int options, const char* const* values);
  int (*binary_size)(void* program, size_t* size);
  int (*binary)(void* program, char* bytes);
  int (*destroy)(void** program);
  int (*device)(int* handle, int ordinal);
  int (*attribute)(int* value, int which, int handle);
  int (*load)(void** module, const void* bytes);
  int (*function)(CudaFunction* function, void* module, const char* name);
  int (*launch)(CudaFunction function, unsigned x, unsigned y, unsigned z, unsigned threads_x, unsigned threads_y,
                unsigned threads_z, unsigned shared_bytes, void* stream, void** arguments, void** extra);
};

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

/// By way of PyTorch's own library, which knows where the wheels put NVRTC. Null if one is missing.
const CudaApi* cuda_api() {
  static const std::unique_ptr<const CudaApi> found = []() -> std::unique_ptr<const CudaApi> {
    void* const library = dlopen("libcaffe2_nvrtc.so", RTLD_NOW);
    CudaApi api{};
    const bool whole =
        library != nullptr && find(library, "nvrtcCreateProgram", api.create) &&
        find(library, "nvrtcCompileProgram", api.compile) && find(library, "nvrtcGetCUBINSize", api.binary_size) &&
        find(library, "nvrtcGetCUBIN", api.binary) && find(library, "nvrtcDestroyProgram", api.destroy) &&
        find(library, "cuDeviceGet", api.device) && find(library, "cuDeviceGetAttribute", api.attribute) &&
        find(library, "cuModuleLoadData", api.load) && find(library, "cuModuleGetFunction", api.function) &&
        find(library, "cuLaunchKernel", api.launch);
    return whole ? std::make_unique<const CudaApi>(api) : nullptr;
  }();
  return found.get();
}

/// The kernels for one card.  -> empty if the compiler refuses
std::vector<char> compiled_for(const CudaApi& api, int index) {
  constexpr int kMajor = 75, kMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, .._MINOR
  int handle = 0, major = 0, minor = 0;
  if (api.device(&handle, index) != 0 || api.attribute(&major, kMajor, handle) != 0 ||
      api.attribute(&minor, kMinor, handle) != 0)
    return {};
  void* program = nullptr;
  if (api.create(&program, kGpuSource, "lithe.cu", 0, nullptr, nullptr) != 0) return {};
  const std::string architecture = concat("--gpu-architecture=sm_", major, minor);
  const char* const options[] = {architecture.c_str(), "--std=c++17"};
  std::vector<char> binary;
  size_t size = 0;
  if (api.compile(program, 2, options) == 0 && api.binary_size(program, &size) == 0) {
    binary.resize(size);
    if (api.binary(program, binary.data()) != 0) binary.clear();
  }
  api.destroy(&program);
  return binary;
}

/// The kernels of one card, loaded into its context.
class GpuProgram {
 public:
  explicit GpuProgram(c10::Device device) {
    const CudaApi* const api = cuda_api();
    if (api == nullptr) return;
    const c10::DeviceGuard guard(device);
    const std::vector<char> binary = compiled_for(*api, device.index());
    if (binary.empty() || api->load(&module_, binary.data()) != 0) module_ = nullptr;
  }

  bool loaded() const { return module_ != nullptr; }

  CudaFunction function(const std::string& name) {
    const std::lock_guard lock(mutex_);
    CudaFunction& function = functions_[name];
    if (function == nullptr)
      require(cuda_api()->function(&function, module_, name.c_str()) == 0, Fault::internal, "there is no kernel ",
              name);
    return function;
  }

 private:
  void* module_ = nullptr;
  std::mutex mutex_;
  std::map<std::string, CudaFunction> functions_;
};

GpuProgram& program_of(c10::Device device) {
  static std::mutex mutex;
  static std::map<int, std::unique_ptr<GpuProgram>> programs;
  const std::lock_guard lock(mutex);
  std::unique_ptr<GpuProgram>& program = programs[device.index()];
  if (!program) program = std::make_unique<GpuProgram>(device);
  return *program;
}

}  // namespace

bool has_gpu_program(c10::Device device) {
  return device.is_cuda() && program_of(device).loaded();
}

void launch_on_gpu(const std::string& kernel, c10::Device device, const GpuGrid& grid,
                   std::span<void* const> arguments) {
  if (grid.x == 0 || grid.y == 0) return;
  const c10::DeviceGuard guard(device);
  void* const stream = c10::impl::getDeviceGuardImpl(device.type())->getStream(device).native_handle();
  const int status = cuda_api()->launch(program_of(device).function(kernel), static_cast<unsigned>(grid.x),
                                        static_cast<unsigned>(grid.y), 1, static_cast<unsigned>(grid.threads), 1, 1, 0,
                                        stream, const_cast<void**>(arguments.data()), nullptr);
  require(status == 0, Fault::internal, "the GPU's driver refuses to start ", kernel, " (CUDA error ", status, ")");
}

}  // namespace lithe::ops
