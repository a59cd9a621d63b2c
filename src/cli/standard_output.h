#pragma once

#include <string>

namespace lithe::cli {

/// Writes a text to stdout at once. false: it could not be written whole.
bool write_out(const std::string& text);

}  // namespace lithe::cli
