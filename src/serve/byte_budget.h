#pragma once

#include <atomic>
#include <cstdint>

namespace lithe::serve {

/// How many bytes of bodies and fetched pictures all requests together may hold. Any thread may use it, and each share
/// one thread at a time. It must outlive its shares.
class ByteBudget {
 public:
  explicit ByteBudget(uint64_t bytes) : left_(bytes) {}
  ByteBudget(const ByteBudget&) = delete;
  ByteBudget& operator=(const ByteBudget&) = delete;

  /// A part of the budget, which goes back when it is destroyed. It begins empty.
  class Share {
   public:
    explicit Share(ByteBudget& budget) : budget_(budget) {}
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() { budget_.left_ += bytes_; }

    /// False: so many more bytes are not left, and the share is as before.
    bool grow(uint64_t bytes) {
      if (!budget_.take(bytes)) return false;
      bytes_ += bytes;
      return true;
    }

   private:
    ByteBudget& budget_;
    uint64_t bytes_ = 0;
  };

  /// How many bytes no share holds.
  uint64_t left() const { return left_; }

 private:
  bool take(uint64_t bytes) {
    uint64_t left = left_;
    while (bytes <= left) {
      if (left_.compare_exchange_weak(left, left - bytes)) return true;
    }
    return false;
  }

  std::atomic<uint64_t> left_;
};

}  // namespace lithe::serve
