#pragma once

// What the C boundaries of the crate in rust/ share. Every function of theirs that can fail returns a code and, when it
// fails, fills `error` with a sentence that the caller frees; `out` is then left alone. Nothing panics or throws
// through them.

#include <cstddef>
#include <string>

#include "base/error.h"

extern "C" {

enum {
  LITHE_RUST_OK = 0,
  LITHE_RUST_FAILED = 1,
  LITHE_RUST_REFUSED = 2,
  LITHE_RUST_TOO_MUCH = 3,
  LITHE_RUST_NO_THREAD = 4
};

typedef struct LitheBytes {
  char* data;
  size_t size;
} LitheBytes;

void lithe_bytes_free(LitheBytes bytes);
}

namespace lithe {

/// The text that Rust gave, freed on its side.
inline std::string take_rust(LitheBytes bytes) {
  std::string text(bytes.data, bytes.size);
  lithe_bytes_free(bytes);
  return text;
}

/// Throws Error{fault} "`what`: sentence" if `code` says that the call failed.
inline void check_rust(int code, LitheBytes error, Fault fault, const std::string& what) {
  if (code != LITHE_RUST_OK) fail(fault, what, ": ", take_rust(error));
}

}  // namespace lithe
