#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace lithe {

/// The bytes of base64 text (RFC 4648, with or without padding, either alphabet); absent if it is none.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text);

}  // namespace lithe
