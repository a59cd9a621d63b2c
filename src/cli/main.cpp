#include <fmt/format.h>
#include <algorithm>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/vector_set.h"
#include "cli/command.h"
#include "cli/command_line.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/omp_policy.h"
#include "cli/standard_output.h"
#include "io/mapped_file.h"

namespace {

using namespace lithe::cli;

struct Command {
  const char* name;
  const char* summary;
  Declare declare;
};

constexpr Command kCommands[] = {
    {"demo", "Compare the two shipped models, dense and p-MoD, on a shipped picture", declare_demo},
    {"run", "Answer a question about pictures, or chat", declare_run},
    {"batch", "Answer the requests of a JSONL file, several at a time", declare_batch},
    {"eval", "Score a model on a benchmark: ScienceQA, VQAv2, SLAKE and others", declare_eval},
    {"merge", "Join the shards of a run of eval or batch, and score the whole", declare_merge},
    {"compare", "Compare two runs of eval question by question", declare_compare},
    {"serve", "Serve a model over HTTP with the API of OpenAI", declare_serve},
    {"plans", "List the built-in plans: what each skips, needs and costs", declare_plans},
    {"inspect", "Print a model's architecture and memory, and what a plan costs", declare_inspect},
    {"bench", "Measure image encode, prefill and decode, under a plan and dense", declare_bench},
    {"trace", "Write every intermediate result of one request to a file", declare_trace},
    {"search", "Find a plan within a budget, or attentions that a task does not need", declare_search},
    {"tune", "Tune a model by a recipe: p-MoD, EAS, LoRA, or all weights", declare_tune},
    {"fold", "Merge LoRA and a model's adapters into its weights", declare_fold},
    {"convert", "Write a model folder in another layout, with safetensors weights", declare_convert},
    {"quantize", "Write a model folder with weights rounded to bfloat16, int8 or int4", declare_quantize},
    {"completion", "Print a script that lets bash complete commands and flags", declare_completion},
    {"help", "Print the help of a command", declare_help},
};

constexpr const char* kDescription =
    "lithe runs vision-language models and skips computation that they do not need.\n"
    "`lithe help COMMAND` describes a command.";

/// In the list of commands, CLI11 prints the first line of a command's description. The list gets the summary instead.
class Formatter : public CLI::Formatter {
 public:
  std::string make_subcommand(const CLI::App* command) const override {
    for (const Command& known : kCommands) {
      if (command->get_name() == known.name) return fmt::format("  {:<12}{}\n", known.name, known.summary);
    }
    return {};
  }
};

/// The words of the command line, last first, as CLI11 takes them. It would read the word after "--temp=" as its value,
/// so the empty value becomes a word of its own.
std::vector<std::string> words_of(CLI::App& app, int argc, char** argv) {
  std::vector<std::string> words;
  const std::vector<CLI::App*> named =
      app.get_subcommands([&](const CLI::App* one) { return argc > 1 && one->get_name() == argv[1]; });
  const CLI::App* const command = named.empty() ? nullptr : named.front();
  bool flags = command != nullptr;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    flags = flags && word != "--";
    const bool empty = flags && word.starts_with("--") && word.ends_with('=');
    const CLI::Option* const option = empty ? command->get_option_no_throw(word.substr(0, word.size() - 1)) : nullptr;
    const bool splits = option != nullptr && option->get_expected_max() > 0;
    if (splits) word.pop_back();
    words.push_back(std::move(word));
    if (splits) words.emplace_back();
  }
  std::reverse(words.begin(), words.end());
  return words;
}

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
    for (CLI::Option* const option : subcommand->get_options()) {
      if (option->get_expected_max() == 0) option->disable_flag_override();  // "--json=3" is a mistake
    }
  }
  app.require_subcommand(0, 1);  // after the first, `demo` is the name of a model
  try {
    app.parse(words_of(app, argc, argv));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) throw refusal_of(app, error);
    std::ostringstream text;  // of --help or --version
    app.exit(error, text, text);
    write_out(text.str());
    return 0;
  }
  for (const auto& [subcommand, action] : actions) {
    if (subcommand->parsed()) return action();
  }
  write_out(app.help());
  return kExitBadRequest;
}

}  // namespace

int main(int argc, char** argv) {
  prepare_streams();
  // Called so that the hook is linked in: threads that wait must not spin.
  (void)omp_wait_policy();
  end_on_interrupt();
  lithe::io::exit_on_lost_pages("lithe: ", kExitBadFile);
  return guarded([&] { return dispatch(argc, argv); });
}
