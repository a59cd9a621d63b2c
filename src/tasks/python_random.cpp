#include "tasks/python_random.h"

#include <bit>

namespace lithe::tasks {

/// init_by_array() of MT19937 with the seed as its only key.
PythonRandom::PythonRandom(uint32_t seed) {
  words_[0] = 19650218;
  const auto mixed = [&](std::size_t i) { return words_[i - 1] ^ (words_[i - 1] >> 30U); };
  for (std::size_t i = 1; i < kWords; ++i) words_[i] = 1812433253U * mixed(i) + static_cast<uint32_t>(i);
  std::size_t i = 1;
  const auto step = [&] {
    if (++i < kWords) return;
    words_[0] = words_[kWords - 1];
    i = 1;
  };
  for (std::size_t k = 0; k < kWords; ++k, step()) words_[i] = (words_[i] ^ (mixed(i) * 1664525U)) + seed;
  for (std::size_t k = 1; k < kWords; ++k, step())
    words_[i] = (words_[i] ^ (mixed(i) * 1566083941U)) - static_cast<uint32_t>(i);
  words_[0] = 0x80000000U;
}

void PythonRandom::fill() {
  constexpr std::size_t kAhead = 397;
  for (std::size_t i = 0; i < kWords; ++i) {
    const uint32_t both = (words_[i] & 0x80000000U) | (words_[(i + 1) % kWords] & 0x7FFFFFFFU);
    words_[i] = words_[(i + kAhead) % kWords] ^ (both >> 1U) ^ ((both & 1U) != 0 ? 0x9908B0DFU : 0U);
  }
  at_ = 0;
}

uint32_t PythonRandom::next() {
  if (at_ == kWords) fill();
  uint32_t word = words_[at_++];
  word ^= word >> 11U;
  word ^= (word << 7U) & 0x9D2C5680U;
  word ^= (word << 15U) & 0xEFC60000U;
  return word ^ (word >> 18U);
}

uint32_t PythonRandom::below(uint32_t count) {
  const auto unused = static_cast<unsigned>(std::countl_zero(count));
  uint32_t drawn = next() >> unused;
  while (drawn >= count) drawn = next() >> unused;
  return drawn;
}

}  // namespace lithe::tasks
