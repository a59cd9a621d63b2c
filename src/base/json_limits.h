#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/json.h"

namespace lithe {

/// What JSON text from a file or a user may hold.
struct JsonLimits {
  std::size_t max_depth = 128;         ///< Of nested objects and lists.
  bool unique_keys = false;            ///< Refuse a key that an object holds twice; else its last value counts.
  std::size_t max_values = 8'000'000;  ///< In memory, a value of a few bytes of text takes up to a hundred.
};

/// parse_json within these limits. Time grows as n log n of the text, also for an object of a million keys. Throws
/// Error{bad_file}.
Json parse_json(std::string_view text, const std::string& source, const JsonLimits& limits);

}  // namespace lithe
