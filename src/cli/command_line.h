#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "cli/cli11.h"

namespace lithe::cli {

/// A command of the program by its name. Throws Error{bad_request}, with the name that was likely meant.
CLI::App& command_named(CLI::App& program, const std::string& name);

/// "--temp" and "-n": the flags of a command.
std::vector<std::string> flags_of(const CLI::App& command);

/// The names of the program's commands.
std::vector<std::string> commands_of(const CLI::App& program);

/// What was wrong with the command line: one sentence that names the command's own --help, and what was likely meant.
Error refusal_of(const CLI::App& program, const CLI::ParseError& error);

}  // namespace lithe::cli
