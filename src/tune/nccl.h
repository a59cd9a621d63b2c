#pragma once

#include <c10/core/Device.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lithe::tune {

/// NVIDIA's library of messages between GPUs. `make setup GPU=1` installs it; it is opened only if it is used.
inline constexpr const char* kNccl = "libnccl.so.2";

/// Messages between the GPUs of several processes, by NCCL (2.x). Everything throws Error{internal} with NCCL's own
/// words if it fails.
class Nccl {
 public:
  /// The functions of the library. Throws Error{bad_request} if it can't be opened.
  struct Library;
  static std::shared_ptr<const Library> open(const std::string& name);

  /// A new group, made by one of its ranks, which hands it to the others.
  static std::vector<uint8_t> new_group(const Library& library);

  /// Joins a group; it returns when every rank has come. `device` is this rank's own: a GPU, or for tests the CPU.
  Nccl(std::shared_ptr<const Library> library, std::span<const uint8_t> group, int64_t rank, int64_t size,
       c10::Device device);
  ~Nccl();
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;

  /// Whether the library takes the next message. It may take its time over the one before it.
  bool ready() const;
  /// After what the device's current stream does so far, `values` [n] on the device become their sums over all ranks.
  /// Call this and share() if it is ready, on every rank in the same order. The first message also connects the ranks,
  /// so it may wait for them; later ones return at once.
  void sum(std::span<float> values);
  /// The same with the values that rank `from` has.
  void share(std::span<float> values, int64_t from);
  /// Whether all that was asked for is done.
  bool done();
  /// Ends the group without the other ranks, one of which is lost.
  void abandon();

 private:
  void check(int status) const;
  void* begin();

  std::shared_ptr<const Library> library_;
  c10::Device device_;
  std::optional<c10::Stream> stream_;  // beside that of the computation; none on the CPU
  std::optional<c10::Event> last_;     // after the last message, once the library has taken it
  bool last_is_marked_ = true;
  void* group_ = nullptr;
};

}  // namespace lithe::tune
