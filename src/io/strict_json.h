#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lithe::io {

/// Parses JSON out of a hostile file: refuses a key that stands twice in one object, nesting deeper than `max_depth`,
/// and a root that is not an object. Keys are sorted, so a header of a million names costs n log n. Throws
/// Error{bad_file}; `source` says where the text stands ("model.safetensors: header").
nlohmann::json parse_strict(std::string_view text, const std::string& source, int max_depth);

}  // namespace lithe::io
