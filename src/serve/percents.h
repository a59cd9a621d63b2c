#pragma once

#include <string>
#include <string_view>

namespace lithe::serve {

/// A part of a URL with each %41 as the byte that it stands for; a "%" without two digits stays.
std::string without_percents(std::string_view text);

}  // namespace lithe::serve
