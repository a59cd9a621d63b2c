#include "base/error.h"
#include "base/printable.h"
#include "cli/command.h"
#include "cli/command_line.h"
#include "cli/pair_inspect.h"
#include "cli/standard_output.h"
#include "plan/parse.h"
#include "session/session.h"

namespace lithe::cli {
namespace {

constexpr const char* kCompletionDescription =
    R"(Prints a script that lets bash complete lithe's commands, flags and plans with the Tab key.

`make install` puts the script where bash looks for it.)";

constexpr const char* kCompletionFooter = R"(Examples:
  lithe completion bash
  lithe completion bash > lithe-completion.bash)";

constexpr const char* kHead = R"(# Completion of lithe's commands and flags in bash; `lithe completion bash` prints it.
_lithe() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} flags= names= files=
)";

// After a flag with a fixed set of values, and for MODEL, these names are offered; some together with files.
constexpr const char* kTail = R"(  case $before in
    --weights) names="@weights@" ;;
    --kv) names="@kv@" ;;
    --compute) names="@compute@" ;;
    --device) names="cpu cuda" ;;
    --to) names="hf original same" ;;
    --shape) names="@shapes@" ;;
    --against) names="dense feed-forward" ;;
    --protocol) names="paper today" ;;
    --shard) names=auto ;;
    --plan) names="@plans@" files=yes ;;
    -o|--output)
      if [ "${COMP_WORDS[1]}" = bench ]; then names="md csv json"; else files=yes; fi ;;
    *)
      if [ "$COMP_CWORD" -eq 1 ]; then
        names="@commands@"
      elif [[ $word == -* ]]; then
        names=$flags
      else
        if [ "$COMP_CWORD" -eq 2 ]; then
          case ${COMP_WORDS[1]} in
            help) names="@commands@ recipe" ;;
            plans) names="@plans@" ;;
            completion) names=bash ;;
            tune|merge|compare) ;;
            *) names="demo demo-dense" ;;
          esac
        fi
        files=yes
      fi ;;
  esac
  [ "$files" ] && compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -W "$names" -- "$word"; [ "$files" ] && compgen -f -- "$word")
}
complete -F _lithe lithe
)";

std::string joined(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

void fill_in(std::string& script, const std::string& mark, const std::string& words) {
  for (std::size_t at = 0; (at = script.find(mark)) != std::string::npos;) script.replace(at, mark.size(), words);
}

std::string bash_script(const CLI::App& program) {
  std::string cases, tail = kTail;
  for (const CLI::App* command : program.get_subcommands([](const CLI::App*) { return true; }))
    cases += "    " + command->get_name() + ") flags=\"" + joined(flags_of(*command)) + "\" ;;\n";
  fill_in(tail, "@weights@", joined(session::weight_types()));
  fill_in(tail, "@kv@", joined(session::kv_types()));
  fill_in(tail, "@compute@", joined(session::compute_types()));
  fill_in(tail, "@shapes@", joined(counted_shapes()));
  fill_in(tail, "@plans@", joined(plan::builtin_plan_names()));
  fill_in(tail, "@commands@", joined(commands_of(program)) + " " + joined(flags_of(program)));
  return kHead + ("  case ${COMP_WORDS[1]} in\n" + cases + "  esac\n" + tail);
}

int complete(const CLI::App& program, const std::string& shell) {
  require(shell == "bash", Fault::bad_request, "There is no completion for the shell ", in_quotes(shell),
          "; give bash.");
  write_out(bash_script(program));
  return 0;
}

}  // namespace

Action declare_completion(CLI::App& app) {
  const auto shell = std::make_shared<std::string>();
  app.description(kCompletionDescription);
  app.footer(kCompletionFooter);
  app.add_option("SHELL", *shell, "bash")->required();
  return [&app, shell] { return complete(*app.get_parent(), *shell); };
}

}  // namespace lithe::cli
