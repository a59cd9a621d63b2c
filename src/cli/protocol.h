#pragma once

#include <string>

#include "cli/cli11.h"
#include "tasks/task.h"

namespace lithe::cli {

/// Declares --protocol.
void add_protocol(CLI::App& app, std::string& target);

/// "paper", "today", or empty for the first. Throws Error{bad_request} for any other name.
tasks::Protocol protocol_of(const std::string& name);

}  // namespace lithe::cli
