#pragma once

#include <string>
#include <string_view>

namespace lithe::serve {

/// Whether the header Authorization carries this key ("Bearer KEY"). How long it takes does not depend on where the
/// two differ.
bool carries_key(std::string_view authorization, const std::string& key);

}  // namespace lithe::serve
