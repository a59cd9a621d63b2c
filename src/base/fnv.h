#pragma once

#include <cstdint>
#include <string_view>

namespace lithe {

/// FNV-1a, 64 bits: the same on every machine. Texts that are made on purpose can have the same one.
constexpr uint64_t fnv1a(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash;
}

}  // namespace lithe
