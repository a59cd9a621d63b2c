#pragma once

#include <filesystem>
#include <string_view>

namespace lithe::tune {

/// Writes all of `bytes` at the end of an open file. Throws Error{bad_file} with the path.
void append_to(int descriptor, std::string_view bytes, const std::filesystem::path& path);

}  // namespace lithe::tune
