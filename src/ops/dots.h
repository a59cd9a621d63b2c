#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace lithe::ops {

/// Kernels of dot products that one instruction set has: for 1, 2, .. `rows` rows of x, with one or several rows of
/// weights.
template <class Dot>
struct Dots {
  int64_t rows = 0;
  const Dot *one = nullptr, *some = nullptr;
  const int64_t* outs = nullptr;  ///< How many rows of weights `some` takes.
};

template <class Dot, class Set, bool some, size_t... kRow>
constexpr std::array<Dot, sizeof...(kRow)> dot_table(std::index_sequence<kRow...>) {
  return {Set::template kDot<kRow + 1, (some ? Set::kOuts[kRow] : 1)>...};
}

/// Those of Set: it has kernels kDot<rows, outs>, and kOuts, how many rows of weights go with each count of rows of x.
template <class Dot, class Set>
Dots<Dot> dots_in() {
  using Counts = std::make_index_sequence<Set::kOuts.size()>;
  static constexpr auto kOne = dot_table<Dot, Set, false>(Counts()), kSome = dot_table<Dot, Set, true>(Counts());
  return {Set::kOuts.size(), kOne.data(), kSome.data(), Set::kOuts.data()};
}

}  // namespace lithe::ops
