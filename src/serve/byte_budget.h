#pragma once

#include <cstdint>
#include <utility>

namespace lithe::serve {

/// How many bytes of bodies all requests together may hold. Used by one thread.
class ByteBudget {
 public:
  explicit ByteBudget(uint64_t bytes) : left_(bytes) {}

  /// A part of the budget, which goes back when it is destroyed.
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept { swap(other); }
    Share& operator=(Share&& other) noexcept {
      swap(other);
      return *this;
    }
    ~Share() {
      if (budget_) budget_->left_ += bytes_;
    }
    explicit operator bool() const { return budget_ != nullptr; }

   private:
    friend class ByteBudget;
    Share(ByteBudget& budget, uint64_t bytes) : budget_(&budget), bytes_(bytes) {}
    void swap(Share& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
    }
    ByteBudget* budget_ = nullptr;
    uint64_t bytes_ = 0;
  };

  /// Empty if so many bytes are not left.
  Share take(uint64_t bytes) {
    if (bytes > left_) return {};
    left_ -= bytes;
    return {*this, bytes};
  }

 private:
  uint64_t left_;
};

}  // namespace lithe::serve
