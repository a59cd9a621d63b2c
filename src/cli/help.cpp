#include <memory>
#include <optional>

#include "cli/command.h"
#include "cli/command_line.h"
#include "cli/standard_output.h"
#include "tune/recipe_keys.h"

namespace lithe::cli {
namespace {

constexpr const char* kHelpDescription =
    "Prints the list of commands, the description, flags and examples of one, or the keys of a recipe.";

constexpr const char* kHelpFooter = R"(Examples:
  lithe help
  lithe help run
  lithe help recipe)";

int help(CLI::App& program, const std::optional<std::string>& command) {
  if (command == "recipe") {
    write_out(tune::recipe_help_text());
    return 0;
  }
  // A program that is asked for its help prints that of the command that was given: `help` itself.
  write_out(command ? command_named(program, *command).help("lithe")
                    : program.get_formatter()->make_help(&program, "lithe", CLI::AppFormatMode::Normal));
  return 0;
}

}  // namespace

Action declare_help(CLI::App& app) {
  const auto command = std::make_shared<std::optional<std::string>>();
  app.description(kHelpDescription);
  app.footer(kHelpFooter);
  app.add_option("COMMAND", *command,
                 "The command, or recipe for the keys of a recipe; without it, the list of all commands");
  return [&app, command] { return help(*app.get_parent(), *command); };
}

}  // namespace lithe::cli
