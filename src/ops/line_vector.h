#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace lithe::ops {

/// Memory that begins on a cache line, so that no vector of 64 bytes lies in two lines. New elements hold something.
template <class T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  LineAllocator() = default;
  template <class U>
  LineAllocator(const LineAllocator<U>&) {}

  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kLine)); }
  void deallocate(T* memory, size_t) { ::operator delete(memory, kLine); }
  template <class U>
  void construct(U* place) {
    ::new (place) U;
  }
  template <class U>
  void construct(U* place, const U& value) {
    ::new (place) U(value);
  }
  bool operator==(const LineAllocator&) const { return true; }
};

template <class T>
using LineVector = std::vector<T, LineAllocator<T>>;

}  // namespace lithe::ops
