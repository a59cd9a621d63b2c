#pragma once

#include <string>
#include <string_view>

namespace lithe::cli {

/// A piece of a model's answer as a terminal may get it: control characters other than newline and tab are written as
/// \x1b, so that an answer cannot move the cursor, rename the window or write into the clipboard. The piece is UTF-8,
/// whole characters.
std::string harmless(std::string_view piece);

/// The piece as it is to be written to stdout: harmless if that is a terminal, else as it is.
std::string for_stdout(std::string_view piece);

}  // namespace lithe::cli
