#include <fmt/format.h>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "base/vector_set.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/omp_policy.h"

namespace {

using namespace lithe::cli;

struct Command {
  const char* name;
  const char* summary;
  Declare declare;
};

constexpr Command kCommands[] = {
    {"demo", "The shipped models on a shipped picture, dense beside skipped", declare_demo},
    {"run", "Answer a question about pictures", declare_run},
    {"batch", "Answer many requests of a JSONL file, several at a time", declare_batch},
    {"trace", "Write every intermediate of one request", declare_trace},
    {"inspect", "Print architecture, memory and what a plan computes", declare_inspect},
    {"bench", "Time image encode, prefill and decode, dense beside the plan", declare_bench},
    {"fold", "Fold a model's adapters into its weights", declare_fold},
    {"convert", "Write a model folder anew with its weights as safetensors", declare_convert},
    {"completion", "Print what a shell needs to complete commands and flags", declare_completion},
};

constexpr const char* kDescription =
    "lithe runs vision-language models and leaves out what is redundant.\n"
    "`lithe COMMAND --help` says what a command does.";

/// The formatter prints the first line of a command's description in the list of commands, which is not what it is for
/// there: the list gets the summary.
class Formatter : public CLI::Formatter {
 public:
  std::string make_subcommand(const CLI::App* command) const override {
    for (const Command& known : kCommands) {
      if (command->get_name() == known.name) return fmt::format("  {:<12}{}\n", known.name, known.summary);
    }
    return {};
  }
};

int dispatch(int argc, char** argv) {
  CLI::App app(kDescription, "lithe");
  const auto formatter = std::make_shared<Formatter>();
  formatter->column_width(28);
  app.formatter(formatter);
  app.set_version_flag("--version",
                       fmt::format("{}\nvector set {}", LITHE_VERSION, lithe::name_of(lithe::vector_set())));
  std::vector<std::pair<CLI::App*, Action>> actions;
  for (const Command& command : kCommands) {
    CLI::App* const subcommand = app.add_subcommand(command.name);
    actions.emplace_back(subcommand, command.declare(*subcommand));
  }
  app.require_subcommand(0, 1);  // behind the first, `demo` is the name of a model
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help and --version
    fmt::print(stderr, "lithe: {}; see `lithe --help`.\n", error.what());
    return kExitBadRequest;
  }
  for (const auto& [subcommand, action] : actions) {
    if (subcommand->parsed()) return guarded(action);
  }
  fmt::print("{}", app.help());
  return kExitBadRequest;
}

}  // namespace

int main(int argc, char** argv) {
  // Read for the sake of the hook that comes with it: threads that wait must not spin.
  (void)omp_wait_policy();
  return guarded([&] { return dispatch(argc, argv); });
}
