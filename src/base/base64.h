#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lithe {

/// The bytes of base64 text (RFC 4648, with or without padding, either alphabet); absent if it is none.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text);

/// The text of these bytes, with padding.
std::string encode_base64(std::span<const std::byte> bytes);

/// The base64 text of a URL like data:image/png;base64,iVBOR..; absent if it is of another form.
std::optional<std::string_view> base64_of_url(std::string_view url);

}  // namespace lithe
