#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lithe::serve {

/// The number of the key that the header Authorization carries ("Bearer KEY"); absent: it carries none of them. How
/// long it takes does not depend on where a key differs.
std::optional<std::size_t> key_of(std::string_view authorization, const std::vector<std::string>& keys);

}  // namespace lithe::serve
