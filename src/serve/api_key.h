#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lithe::serve {

/// Whether the header Authorization carries this key ("Bearer KEY"). How long it takes does not depend on where the
/// two differ.
bool carries_key(std::string_view authorization, const std::string& key);
/// The same for any of several keys. How long it takes does not depend on which one it is.
bool carries_one_of(std::string_view authorization, const std::vector<std::string>& keys);

}  // namespace lithe::serve
