#pragma once

#include <string>
#include <string_view>

#include "base/lower_case.h"

namespace lithe {

/// Whether a text begins with these small letters, written small or large.  begins_in_any_case("HTTP://x", "http://")
inline bool begins_in_any_case(std::string_view text, std::string_view beginning) {
  return in_lower_case(std::string(text.substr(0, beginning.size()))) == beginning;
}

}  // namespace lithe
