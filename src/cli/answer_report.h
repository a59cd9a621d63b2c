#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "session/session.h"

namespace lithe::cli {

/// An answer with its tokens, times and KV cache, for --json; docs/json.md lists the keys.
Json to_json(const session::Answer& answer);

/// Times, speeds and the KV cache of an answer, as a few lines of text.
std::string timing_lines(const session::Answer& answer);

/// "1.5 MiB"
std::string bytes_text(int64_t bytes);

/// "7.06 B", "4.96 M": of parameters.
std::string count_text(int64_t count);

}  // namespace lithe::cli
