#include "cli/command_line.h"

#include <algorithm>

#include "base/printable.h"
#include "base/suggestion.h"

namespace lithe::cli {
namespace {

std::string did_you_mean(const std::string& word, const std::vector<std::string>& names) {
  const std::string meant = closest_name(word, names);
  return meant.empty() ? "" : concat("; did you mean ", meant, "?");
}

std::string no_such_command(const CLI::App& program, const std::string& name) {
  const std::string meant = did_you_mean(name, commands_of(program));
  return concat("There is no command ", in_quotes(name), meant.empty() ? ";" : meant, " `lithe help` lists them.");
}

/// "run" or "lithe", as the subject of a sentence.
std::string subject(const CLI::App& program, const CLI::App& command) {
  return &command == &program ? "lithe" : command.get_name();
}

std::string see_help(const CLI::App& program, const CLI::App& command) {
  return &command == &program ? "See `lithe --help`." : concat("See `lithe ", command.get_name(), " --help`.");
}

/// `command` is the one that was given, or the program itself; `before_it`: the word stands before the command.
std::string not_expected(const CLI::App& program, const CLI::App& command, const std::string& word, bool before_it) {
  const std::string name = subject(program, command), help = " " + see_help(program, command);
  if (!word.starts_with('-')) {
    if (before_it || &command == &program) return no_such_command(program, word);
    return concat(name, " does not take ", in_quotes(word), "; put a text of several words in quotes.", help);
  }
  const std::string flag = word.substr(0, word.find('='));
  const std::vector<std::string> flags = flags_of(command);
  if (before_it && std::find(flags.begin(), flags.end(), flag) != flags.end())
    return concat(flag, " is a flag of `lithe ", name, "`; write it after the name of the command.");
  if (flag.find(' ') != std::string::npos)
    return concat(name, " has no flag ", in_quotes(flag), "; if it is text, write -- before it.", help);
  const std::string meant = did_you_mean(flag, flags);
  return concat(name, " has no flag ", in_quotes(flag), meant.empty() ? "." : meant, help);
}

/// The words of CLI11: "MODEL is required", "--temp: 1 required T missing",
/// "--temp: At Most 1 required but received 2", "--json was given a disallowed flag override",
/// "--system excludes --raw-prompt".
std::string in_plain_words(const CLI::ParseError& error, const std::string& name) {
  const std::string words = error.what();
  const auto before = [&words](const char* end) { return words.substr(0, words.find(end)); };
  if (words.ends_with(" is required")) return concat(name, " needs ", before(" is required"), ".");
  if (words.ends_with(" missing")) return concat(before(": "), " needs a value.");
  if (words.find(": At Most 1 ") != std::string::npos) return concat(before(": "), " is given twice; give it once.");
  constexpr std::string_view kExcludes = " excludes ";
  if (const std::size_t at = words.find(kExcludes); at != std::string::npos)
    return concat(words.substr(0, at), " can't be used with ", words.substr(at + kExcludes.size()), ".");
  if (words.ends_with(" disallowed flag override")) {
    const std::string flag = before(" was given");  // without its dashes
    return concat(flag.size() == 1 ? "-" : "--", flag, " takes no value.");
  }
  return concat(words, ".");
}

}  // namespace

std::vector<std::string> flags_of(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_snames()) flags.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return flags;
}

std::vector<std::string> commands_of(const CLI::App& program) {
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

CLI::App& command_named(CLI::App& program, const std::string& name) {
  const auto found = program.get_subcommands([&](CLI::App* command) { return command->get_name() == name; });
  require(!found.empty(), Fault::bad_request, no_such_command(program, name));
  return *found.front();
}

Error refusal_of(const CLI::App& program, const CLI::ParseError& error) {
  const std::vector<CLI::App*> given = program.get_subcommands();
  const CLI::App& command = given.empty() ? program : *given.back();
  const auto refused = [](const std::string& sentence) { return Error(Fault::bad_request, sentence); };
  for (const CLI::App* place : {&program, &command}) {
    for (const std::string& word : place->remaining()) {
      if (word != "--") return refused(not_expected(program, command, word, place == &program && !given.empty()));
    }
  }
  return refused(concat(in_plain_words(error, subject(program, command)), " ", see_help(program, command)));
}

}  // namespace lithe::cli
