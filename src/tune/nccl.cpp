#include "tune/nccl.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <dlfcn.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace lithe::tune {
namespace {

/// Of nccl.h, whose values have been the same since version 2.0.
constexpr int kSuccess = 0, kInProgress = 7, kFloat32 = 7, kSum = 0;

struct GroupName {
  char bytes[128];
};

}  // namespace

struct Nccl::Library {
  int (*new_group)(GroupName* name);
  int (*join)(void** group, int ranks, GroupName name, int rank);
  int (*all_reduce)(const void* from, void* to, size_t count, int type, int operation, void* group, void* stream);
  int (*broadcast)(const void* from, void* to, size_t count, int type, int root, void* group, void* stream);
  int (*failure)(void* group, int* status);
  int (*leave)(void* group);
  int (*abandon)(void* group);
  const char* (*meaning)(int status);
  const char* (*last_error)(void* group);
};

namespace {

void check_status(const Nccl::Library& library, int status, void* group) {
  if (status == kSuccess || status == kInProgress) return;
  const char* const detail = library.last_error(group);
  const bool more = detail != nullptr && *detail != '\0';
  fail(Fault::internal, "NCCL can't exchange numbers between the GPUs: ", printable(library.meaning(status)),
       more ? concat(" (", printable(detail), ")") : "",
       "; each process needs a GPU of its own, and NCCL_DEBUG=WARN says more");
}

}  // namespace

std::shared_ptr<const Nccl::Library> Nccl::open(const std::string& name) {
  void* const handle = dlopen(name.c_str(), RTLD_NOW);
  if (handle == nullptr) {
    const char* const reason = dlerror();
    fail(Fault::bad_request, "several processes tune on GPUs with NCCL, which doesn't load (",
         reason == nullptr ? "no reason given" : reason, "); run `make setup GPU=1`, or start one process");
  }
  Library library{};
  const auto find = [&]<class Function>(const char* symbol, Function& function) {
    function = reinterpret_cast<Function>(dlsym(handle, symbol));
    require(function != nullptr, Fault::bad_request, in_quotes(name), " lacks the function ", symbol,
            "; NCCL 2.13 or later is needed");
  };
  find("ncclGetUniqueId", library.new_group);
  find("ncclCommInitRank", library.join);
  find("ncclAllReduce", library.all_reduce);
  find("ncclBroadcast", library.broadcast);
  find("ncclCommGetAsyncError", library.failure);
  find("ncclCommDestroy", library.leave);
  find("ncclCommAbort", library.abandon);
  find("ncclGetErrorString", library.meaning);
  find("ncclGetLastError", library.last_error);
  return std::make_shared<const Library>(library);
}

std::vector<uint8_t> Nccl::new_group(const Library& library) {
  GroupName name{};
  check_status(library, library.new_group(&name), nullptr);
  return {std::begin(name.bytes), std::end(name.bytes)};
}

Nccl::Nccl(std::shared_ptr<const Library> library, std::span<const uint8_t> group, int64_t rank, int64_t size,
           c10::Device device)
    : library_(std::move(library)), device_(device) {
  GroupName name{};
  require(group.size() == sizeof name.bytes, Fault::internal, "a group of NCCL has ", group.size(), " bytes, not ",
          sizeof name.bytes);
  std::copy(group.begin(), group.end(), name.bytes);
  const c10::DeviceGuard guard(device_);
  if (!device_.is_cpu()) {
    stream_ = c10::impl::getDeviceGuardImpl(device_.type())->getStreamFromGlobalPool(device_, true);
    last_.emplace(device_.type());
  }
  check_status(*library_, library_->join(&group_, static_cast<int>(size), name, static_cast<int>(rank)), nullptr);
}

Nccl::~Nccl() {
  if (group_ != nullptr) library_->leave(group_);
}

void Nccl::sum(std::span<float> values) {
  const c10::DeviceGuard guard(device_);
  void* const stream = begin();
  check(library_->all_reduce(values.data(), values.data(), values.size(), kFloat32, kSum, group_, stream));
}

void Nccl::share(std::span<float> values, int64_t from) {
  const c10::DeviceGuard guard(device_);
  void* const stream = begin();
  check(library_->broadcast(values.data(), values.data(), values.size(), kFloat32, static_cast<int>(from), group_,
                            stream));
}

bool Nccl::ready() const {
  int status = kSuccess;
  check(library_->failure(group_, &status));
  check(status);
  return status != kInProgress;
}

bool Nccl::done() {
  if (!ready()) return false;
  if (!last_) return true;
  if (!std::exchange(last_is_marked_, true)) last_->record(*stream_);
  return last_->query();
}

void Nccl::abandon() {
  if (group_ != nullptr) library_->abandon(group_);
  group_ = nullptr;
}

void Nccl::check(int status) const {
  check_status(*library_, status, group_);
}

/// Messages wait for what computes their numbers.  -> the stream that they are on
void* Nccl::begin() {
  require(group_ != nullptr, Fault::internal, "the GPUs' group has ended");
  last_is_marked_ = false;
  if (!stream_) return nullptr;
  c10::Event computed(device_.type());
  computed.record(c10::impl::getDeviceGuardImpl(device_.type())->getStream(device_));
  computed.block(*stream_);
  return stream_->native_handle();
}

}  // namespace lithe::tune
