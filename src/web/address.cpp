#include "web/address.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

namespace lithe::web {
namespace {

struct Block4 {
  std::array<uint8_t, 4> first;
  int bits;  // how many of them all addresses of the block share
};

/// IANA's registry of special addresses, and groups.
constexpr Block4 kSpecial4[] = {
    {{0, 0, 0, 0}, 8},        // this network
    {{10, 0, 0, 0}, 8},       // private
    {{100, 64, 0, 0}, 10},    // shared by customers of a provider (CGNAT)
    {{127, 0, 0, 0}, 8},      // this machine
    {{169, 254, 0, 0}, 16},   // of a link; also metadata of clouds
    {{172, 16, 0, 0}, 12},    // private
    {{192, 0, 0, 0}, 24},     // protocols
    {{192, 0, 2, 0}, 24},     // documentation
    {{192, 88, 99, 0}, 24},   // relays to IPv6
    {{192, 168, 0, 0}, 16},   // private
    {{198, 18, 0, 0}, 15},    // benchmarks
    {{198, 51, 100, 0}, 24},  // documentation
    {{203, 0, 113, 0}, 24},   // documentation
    {{224, 0, 0, 0}, 4},      // groups
    {{240, 0, 0, 0}, 4},      // reserved, and to all
};

struct Block6 {
  std::array<uint8_t, 4> first;  // the bytes that follow don't matter for these blocks
  int bits;
};

constexpr Block6 kGlobal6 = {{0x20, 0x00, 0x00, 0x00}, 3};  // what is assigned to the internet
constexpr Block6 kSpecial6[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23},  // protocols, tunnels to IPv4
    {{0x20, 0x01, 0x0d, 0xb8}, 32},  // documentation
    {{0x20, 0x02, 0x00, 0x00}, 16},  // IPv4 addresses inside
    {{0x3f, 0xff, 0x00, 0x00}, 20},  // documentation
};

uint32_t joined(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

/// Whether the first four bytes of an address lie in a block.
template <class Block>
bool holds(const Block& block, const uint8_t* bytes) {
  return (joined(bytes) ^ joined(block.first.data())) >> (32 - block.bits) == 0;
}

template <class Blocks>
bool any_holds(const Blocks& blocks, const uint8_t* bytes) {
  return std::any_of(std::begin(blocks), std::end(blocks), [&](const auto& block) { return holds(block, bytes); });
}

}  // namespace

bool is_public(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& place = reinterpret_cast<const sockaddr_in&>(address);
    return !any_holds(kSpecial4, reinterpret_cast<const uint8_t*>(&place.sin_addr));
  }
  if (address.sa_family != AF_INET6) return false;
  const uint8_t* const bytes = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr.s6_addr;
  return holds(kGlobal6, bytes) && !any_holds(kSpecial6, bytes);
}

}  // namespace lithe::web
