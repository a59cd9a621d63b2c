#pragma once

#include <string>

#include "base/error.h"
#include "text/rust_boundary.h"

namespace lithe::text {

/// The text that Rust gave, freed on its side.
inline std::string take_rust(LitheBytes bytes) {
  std::string text(bytes.data, bytes.size);
  lithe_bytes_free(bytes);
  return text;
}

/// Throws Error{fault} "`what`: sentence" if `code` says that the call failed.
inline void check_rust(int code, LitheBytes error, Fault fault, const std::string& what) {
  if (code != LITHE_TEXT_OK) fail(fault, what, ": ", take_rust(error));
}

}  // namespace lithe::text
