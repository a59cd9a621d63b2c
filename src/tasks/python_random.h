#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lithe::tasks {

/// Python's `random` after random.seed(seed): the same draws.
class PythonRandom {
 public:
  explicit PythonRandom(uint32_t seed);

  /// From 0 to count - 1, as random.choice() and random.randint() draw. `count` is not 0.
  uint32_t below(uint32_t count);

 private:
  static constexpr std::size_t kWords = 624;

  uint32_t next();
  void fill();

  std::array<uint32_t, kWords> words_{};  ///< The state of MT19937.
  std::size_t at_ = kWords;
};

}  // namespace lithe::tasks
