#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lithe {

/// What SHA-256 makes of bytes. Nobody is known to find two inputs with the same one, not even on purpose.
using Digest = std::array<uint8_t, 32>;

/// SHA-256 (FIPS 180-4), piece by piece.
class Sha256 {
 public:
  void add(std::span<const uint8_t> bytes);
  /// A number, as eight bytes.
  void add(int64_t number);
  /// Of everything that was added. Call it once.
  Digest finish();

 private:
  void mix(const uint8_t* block);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> waiting_{};
  std::size_t held_ = 0;  // bytes of waiting_
  uint64_t length_ = 0;   // bytes of all
};

}  // namespace lithe
