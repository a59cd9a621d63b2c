#pragma once

#include <functional>

namespace lithe::cli {

inline constexpr int kExitBadRequest = 2;     ///< The command line, a prompt or a plan asks for something impossible.
inline constexpr int kExitBadFile = 3;        ///< A file is missing, damaged or does not fit the rest.
inline constexpr int kExitInterrupted = 130;  ///< Ctrl-C ended the command early, as shells report SIGINT.

/// Runs a command and turns every exception into one sentence on stderr ("lithe: ...") and an exit code: bad_request 2,
/// bad_file 3, anything else 1. It is the only place that does.
int guarded(const std::function<int()>& command);

}  // namespace lithe::cli
