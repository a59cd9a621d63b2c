#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

/// All output of the program goes through here; stdout and stderr are not buffered.
namespace lithe::cli {

/// stdout can't be written; what was asked for did not arrive. Exit code 3.
struct OutputFailed : Error {
  explicit OutputFailed(const std::string& reason);
};

/// To be called first. Opens /dev/null in place of a standard stream that was closed when the program started, so that
/// no file gets its number; reading or writing there still fails. A closed pipe then ends the program quietly only at
/// stdout (as SIGPIPE does), not at stderr or at an output file.
void prepare_streams();

/// Writes a text to stdout. Throws OutputFailed if it can't be written whole.
void write_out(std::string_view text);

/// The same for JSON, indented by two and with a newline; text that is not UTF-8 is replaced.
void write_json(const Json& json);

/// Writes a text to stderr. If that fails, nothing happens: what the program does must not depend on it.
void write_err(std::string_view text) noexcept;

}  // namespace lithe::cli
