#pragma once

#include <cstddef>
#include <string_view>

namespace lithe {

/// How many characters must be added, removed, replaced, or swapped with their neighbour to make one text of the other.
///   edits_between("--tmep", "--temp") == 1
std::size_t edits_between(std::string_view a, std::string_view b);

}  // namespace lithe
