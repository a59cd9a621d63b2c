#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "tune/launch.h"

// Processes that tune one model together. The header sees neither tensors nor PyTorch's c10d.
namespace lithe::tune {

/// Numbers that go to other ranks. A message that fails may go on in its own thread for a while, so it holds their
/// owner until it has ended.
struct Numbers {
  std::span<float> values;
  std::shared_ptr<const void> owner;
};

/// This process among those that tune together. Every rank must call the same functions in the same order; each of
/// them throws Error{internal} with one sentence if another rank ended or can't be reached. Copies are the same rank.
/// A process alone has no connection, and every function returns at once.
class Ranks {
 public:
  Ranks() = default;  ///< Alone.
  /// Meets the others at the address of `launch`, or if it has none, in `folder`, which all of them must see. `told`
  /// hears whom it waits for. Throws Error{internal} if they have not come within the patience of `launch`.
  static Ranks meet(const Launch& launch, const std::filesystem::path& folder,
                    const std::function<void(const std::string&)>& told = {});

  /// Numbers lie on `device` from now on, "cuda:1", one for each rank, and travel between the devices by the library
  /// `nccl` (tune/nccl.h). Throws Error{bad_request} if it can't be opened, Error{internal} if it can't connect them.
  void use_gpu(const std::string& device, const std::string& nccl) const;

  int64_t rank() const;
  int64_t size() const;
  bool alone() const { return size() == 1; }
  bool first() const { return rank() == 0; }  ///< The one that writes files.

  /// Every rank gets the sum over all ranks, with the same bits on each.
  void sum(std::span<double> values) const;
  /// The same, later: the sums are there after finish().
  void begin_sum(const Numbers& numbers) const;
  /// Every rank gets what rank `from` has, after finish().
  void begin_share(const Numbers& numbers, int64_t from) const;
  void finish() const;

  bool any(bool here) const;                         ///< Whether it holds on a rank.
  bool agree(std::span<const double> values) const;  ///< Whether all ranks have the same numbers.
  void wait() const { any(false); }                  ///< Until every rank is here.

  /// Tells the others why this rank ends, so that they say it too.
  void failed(const std::string& sentence) const;

 private:
  class Group;
  std::shared_ptr<Group> group_;  // none: alone
};

}  // namespace lithe::tune
