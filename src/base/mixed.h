#pragma once

#include <cstdint>

namespace lithe {

/// A number that looks random and depends on both: the b-th of the stream `a` of SplitMix64. It has no state, so
/// threads and processes that ask for the same number get it.
constexpr uint64_t mixed(uint64_t a, uint64_t b) {
  uint64_t z = a + (b + 1) * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace lithe
