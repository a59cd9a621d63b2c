#include "tune/ranks.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Logging.h>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>
#include <optional>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "tune/heartbeat.h"
#include "tune/meeting.h"
#include "tune/nccl.h"

namespace lithe::tune {
namespace {

using Gloo = c10d::ProcessGroupGloo;
using Work = c10::intrusive_ptr<c10d::Work>;

constexpr std::chrono::seconds kConnect{45};  ///< All of them are there.
/// A rank may evaluate or save for long while the others wait; that it is alive its heart says.
constexpr std::chrono::hours kLongest{24 * 7};
constexpr std::chrono::milliseconds kLook{200};
constexpr std::chrono::microseconds kGlance{50};  ///< Between two questions whether a GPU has finished.
constexpr const char* kGroup = "nccl";            ///< Of the store: what rank 0 hands to the others.

/// The network to use: GLOO_SOCKET_IFNAME, as PyTorch reads it in Python only; else that of the machine's own name.
std::shared_ptr<gloo::transport::Device> device() {
  const char* const names = std::getenv("GLOO_SOCKET_IFNAME");
  if (names == nullptr || *names == '\0') return Gloo::createDefaultDevice();
  const std::string text = names, name = text.substr(0, text.find(','));
  try {
    return Gloo::createDeviceForInterface(name);
  } catch (const std::exception&) {
    fail(Fault::bad_request, "GLOO_SOCKET_IFNAME names ", in_quotes(name), ", which is not a network of this machine; ",
         "`ip link` lists them");
  }
}

/// c10d warns with a stack trace when a connection ends, also at the end of a sound run; our sentence says enough.
void quiet_c10d() {
  constexpr int kFatal = 3;
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = kFatal;
}

at::Tensor tensor_over(const Numbers& numbers) {
  return at::from_blob(
      numbers.values.data(), {static_cast<int64_t>(numbers.values.size())}, [owner = numbers.owner](void*) {},
      at::TensorOptions(at::kFloat));
}

const auto kSum = [](Gloo& gloo, std::vector<at::Tensor>& values) {
  c10d::AllreduceOptions options;
  options.timeout = kLongest;
  return gloo.allreduce(values, options);
};

}  // namespace

class Ranks::Group {
 public:
  Group(const Launch& launch, const std::filesystem::path& folder, const Told& told)
      : rank(launch.rank), size(launch.size), store_(meet(launch, folder, told)) {
    heart_.emplace(store_, rank, size);
    const auto options = Gloo::Options::create(kConnect);
    options->devices.push_back(device());
    try {
      gloo_ = c10::make_intrusive<Gloo>(c10::make_intrusive<c10d::PrefixStore>("gloo/", store_), static_cast<int>(rank),
                                        static_cast<int>(size), options);
    } catch (const std::exception&) {
      const std::string reason = heart_->why_broken();
      fail(Fault::internal, "the ranks met but cannot connect to each other (", reason,
           "); GLOO_SOCKET_IFNAME names the network to use");
    }
  }

  ~Group() {
    const bool sound = !heart_->lost();
    if (nccl_ && (!sound || !travelling_.empty())) nccl_->abandon();  // some may never come
    nccl_.reset();
    heart_.reset();  // nobody ends a connection that another rank still uses
    // A broken group would wait for its dead.
    if (!sound) static_cast<void>(gloo_.release());
  }

  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  /// NCCL can only be told to wait for every rank, so a thread is told, beside the look-out for ranks that are lost.
  void use_gpu(const std::string& device, const std::string& name) {
    const std::shared_ptr<const Nccl::Library> library = Nccl::open(name);
    const std::vector<uint8_t> group = handed_out([&] { return Nccl::new_group(*library); });
    std::promise<std::shared_ptr<Nccl>> promise;
    std::future<std::shared_ptr<Nccl>> connected = promise.get_future();
    std::thread([=, rank = rank, size = size, promise = std::move(promise)]() mutable {
      try {
        promise.set_value(connected_over(library, group, rank, size, c10::Device(device)));
      } catch (...) {
        promise.set_exception(std::current_exception());
      }
    }).detach();
    while (connected.wait_for(kLook) != std::future_status::ready) look_out({});
    nccl_ = connected.get();
  }

  void finish() {
    for (const Begun& one : begun_) finish(*one.work);
    begun_.clear();
    if (nccl_) await([&] { return nccl_->done(); });
    travelling_.clear();
  }

  void begin_sum(const Numbers& numbers) {
    if (!nccl_) return begin(tensor_over(numbers), kSum);
    send(numbers, [&] { nccl_->sum(numbers.values); });
  }

  void begin_share(const Numbers& numbers, int64_t from) {
    if (nccl_) return send(numbers, [&] { nccl_->share(numbers.values, from); });
    begin(tensor_over(numbers), [from](Gloo& gloo, std::vector<at::Tensor>& tensors) {
      c10d::BroadcastOptions options;
      options.rootRank = from;
      options.timeout = kLongest;
      return gloo.broadcast(tensors, options);
    });
  }

  /// Starts a collective; a broken connection may show itself here already.
  template <class Start>
  void begin(at::Tensor tensor, const Start& start) {
    std::vector<at::Tensor> tensors{tensor};
    try {
      begun_.push_back({start(*gloo_, tensors), std::move(tensor)});
    } catch (const std::exception&) {
      broken();
    }
  }

  void failed(const std::string& sentence) { heart_->tell(sentence); }

  const int64_t rank, size;

 private:
  struct Begun {
    Work work;
    at::Tensor tensor;
  };

  static Store meet(const Launch& launch, const std::filesystem::path& folder, const Told& told) {
    quiet_c10d();
    return meet_ranks(launch, folder, told);
  }

  [[noreturn]] void broken() const { fail(Fault::internal, heart_->why_broken()); }

  void look_out(std::chrono::microseconds pause) const {
    if (const std::optional<std::string> reason = heart_->lost()) fail(Fault::internal, *reason);
    std::this_thread::sleep_for(pause);
  }

  /// What rank 0 makes, for every rank.
  template <class Make>
  std::vector<uint8_t> handed_out(const Make& make) {
    try {
      if (rank == 0) store_->set(kGroup, make());
      while (!store_->check({kGroup})) look_out(kLook);
      return store_->get(kGroup);
    } catch (const Error&) {
      throw;
    } catch (const std::exception&) {
      broken();
    }
  }

  /// Ranks that have connected: they do so with their first message.
  static std::shared_ptr<Nccl> connected_over(const std::shared_ptr<const Nccl::Library>& library,
                                              const std::vector<uint8_t>& group, int64_t rank, int64_t size,
                                              c10::Device device) {
    const auto nccl = std::make_shared<Nccl>(library, group, rank, size, device);
    const at::Tensor nothing = at::zeros({1}, at::TensorOptions(at::kFloat).device(device));
    const std::span<float> values(nothing.mutable_data_ptr<float>(), 1);
    const auto wait_until = [](const auto& condition) {
      while (!condition()) std::this_thread::sleep_for(kGlance);
    };
    wait_until([&] { return nccl->ready(); });
    nccl->sum(values);
    wait_until([&] { return nccl->ready(); });
    nccl->share(values, 0);
    wait_until([&] { return nccl->done(); });
    return nccl;
  }

  template <class Message>
  void send(const Numbers& numbers, const Message& message) {
    await([&] { return nccl_->ready(); });
    travelling_.push_back(numbers.owner);
    explained(message);
  }

  /// Looks at the other ranks meanwhile.
  template <class Condition>
  void await(const Condition& condition) const {
    while (!explained(condition)) look_out(kGlance);
  }

  /// What NCCL does. If it fails because another rank ended, the error says so.
  template <class Action>
  auto explained(const Action& action) const {
    try {
      return action();
    } catch (const Error& error) {
      const std::string reason = heart_->why_broken();
      fail(Fault::internal, reason, " (", error.what(), ")");
    }
  }

  void finish(c10d::Work& work) const {
    while (!work.isCompleted()) {
      look_out({});
      try {
        work.wait(kLook);
      } catch (const std::exception&) {  // of the work, or because it goes on
      }
    }
    if (!work.isSuccess()) broken();
  }

  Store store_;
  std::optional<Heartbeat> heart_;
  c10::intrusive_ptr<Gloo> gloo_;
  std::vector<Begun> begun_;
  std::shared_ptr<Nccl> nccl_;                           // none: numbers lie in the machine's memory
  std::vector<std::shared_ptr<const void>> travelling_;  // owners of what NCCL sends
};

Ranks Ranks::meet(const Launch& launch, const std::filesystem::path& folder, const Told& told) {
  Ranks ranks;
  if (launch.size > 1) ranks.group_ = std::make_shared<Group>(launch, folder, told);
  return ranks;
}

void Ranks::use_gpu(const std::string& device, const std::string& nccl) const {
  if (group_) group_->use_gpu(device, nccl);
}

int64_t Ranks::rank() const {
  return group_ ? group_->rank : 0;
}

int64_t Ranks::size() const {
  return group_ ? group_->size : 1;
}

void Ranks::sum(std::span<double> values) const {
  if (!group_) return;
  // A copy, as the caller's values may be on a stack that a failure unwinds.
  const at::Tensor sums = at::empty({static_cast<int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), sums.mutable_data_ptr<double>());
  group_->begin(sums, kSum);
  group_->finish();
  std::copy_n(sums.const_data_ptr<double>(), values.size(), values.begin());
}

void Ranks::begin_sum(const Numbers& numbers) const {
  if (group_) group_->begin_sum(numbers);
}

void Ranks::begin_share(const Numbers& numbers, int64_t from) const {
  if (group_) group_->begin_share(numbers, from);
}

void Ranks::finish() const {
  if (group_) group_->finish();
}

bool Ranks::any(bool here) const {
  double count = here ? 1 : 0;
  sum({&count, 1});
  return count > 0;
}

bool Ranks::agree(std::span<const double> values) const {
  std::vector<double> of_first(values.size());
  if (first()) std::copy(values.begin(), values.end(), of_first.begin());
  sum(of_first);
  return !any(!std::equal(values.begin(), values.end(), of_first.begin()));
}

void Ranks::failed(const std::string& sentence) const {
  if (group_) group_->failed(sentence);
}

}  // namespace lithe::tune
