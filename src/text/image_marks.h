#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/message.h"

namespace lithe::text {

/// How many image marks a text holds.
inline int64_t count_marks(std::string_view text) {
  int64_t marks = 0;
  for (std::size_t at = text.find(kImageMark); at != text.npos; at = text.find(kImageMark, at + 1)) ++marks;
  return marks;
}

}  // namespace lithe::text
