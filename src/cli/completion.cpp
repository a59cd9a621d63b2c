#include <cstdio>

#include "base/error.h"
#include "cli/command.h"
#include "cli/standard_output.h"
#include "plan/parse.h"

namespace lithe::cli {
namespace {

constexpr const char* kDescription =
    R"(Prints what a shell needs to complete Lithe's commands and flags by the Tab key.

The script is made from the commands as they are. `make install` puts it where bash looks for it.)";

constexpr const char* kFooter = R"(Examples:
  lithe completion bash
  lithe completion bash > lithe-completion.bash)";

constexpr const char* kHead = R"(# Completion of lithe's commands and flags in bash; `lithe completion bash` prints it.
_lithe() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} flags= names=
)";

// Behind a flag that names something of Lithe's own, and for MODEL, these names are offered beside files.
constexpr const char* kTail = R"(  [ "$COMP_CWORD" -eq 2 ] && names="demo demo-dense"
  case $before in
    --weights) COMPREPLY=($(compgen -W "auto float32 bfloat16 float16" -- "$word")); return ;;
    --device) COMPREPLY=($(compgen -W "cpu cuda" -- "$word")); return ;;
    --plan) names="@plans@" ;;
  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
  else
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -W "$names" -- "$word") $(compgen -f -- "$word"))
  fi
}
complete -F _lithe lithe
)";

std::string joined(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

std::string flags_of(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_snames()) flags.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return joined(flags);
}

std::string bash_script(const CLI::App& program) {
  std::vector<std::string> commands;
  std::string cases;
  for (const CLI::App* command : program.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(command->get_name());
    cases += "    " + command->get_name() + ") flags=\"" + flags_of(*command) + "\" ;;\n";
  }
  std::string tail = kTail;
  const std::string mark = "@plans@";
  tail.replace(tail.find(mark), mark.size(), joined(plan::builtin_plan_names()));
  return kHead + ("  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W \"" + joined(commands)) + " " +
         flags_of(program) + "\" -- \"$word\"))\n    return\n  fi\n  case ${COMP_WORDS[1]} in\n" + cases + "  esac\n" +
         tail;
}

int complete(const CLI::App& program, const std::string& shell) {
  require(shell == "bash", Fault::bad_request, "There is no completion for the shell '", shell, "'; give bash.");
  require(write_out(bash_script(program)), Fault::bad_file,
          "The script can't be written to stdout; check that there is room.");
  return 0;
}

}  // namespace

Action declare_completion(CLI::App& app) {
  const auto shell = std::make_shared<std::string>();
  app.description(kDescription);
  app.footer(kFooter);
  app.add_option("SHELL", *shell, "bash")->required();
  return [&app, shell] { return complete(*app.get_parent(), *shell); };
}

}  // namespace lithe::cli
