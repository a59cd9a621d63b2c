#pragma once

#include <optional>
#include <string>

namespace lithe::plan {

/// The JSON text of plans/NAME.json, compiled in; absent when there is none of that name.
std::optional<std::string> builtin_text(const std::string& name);

}  // namespace lithe::plan
