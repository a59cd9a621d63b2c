#pragma once

#include <string>

#include "base/json.h"

namespace lithe::cli {

/// Prints the scores of a result of `lithe eval` as a table, and a note on stderr for each that has no value.
void print_scores(const std::string& task, const Json& result);

}  // namespace lithe::cli
