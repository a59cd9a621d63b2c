#include "cli/chat_words.h"

#include <fmt/format.h>
#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/home.h"
#include "base/trim.h"
#include "plan/parse.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

enum class Argument { none, optional, needed };

struct Entry {
  const char* name;
  ChatWord word;
  Argument argument;
  const char* usage;
  const char* what;
};

constexpr Entry kWords[] = {
    {"/image", ChatWord::image, Argument::needed, "/image FILE",
     "attach a picture to the next message; several keep their order"},
    {"/plan", ChatWord::plan, Argument::optional, "/plan [NAME|FILE]",
     "set the skip plan (own: the model's); alone, print the current plan"},
    {"/reset", ChatWord::reset, Argument::none, "/reset", "forget the conversation and its pictures"},
    {"/help", ChatWord::help, Argument::none, "/help", "print this"},
    {"/quit", ChatWord::quit, Argument::none, "/quit", "end (also Ctrl-D); Ctrl-C ends an answer"},
};

constexpr std::size_t kMostFiles = 1000;  // offered by Tab

/// A path as it is typed or dropped onto a terminal: perhaps in quotes, perhaps below "~".
std::string path_of(std::string text) {
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.front() == text.back()) {
    text = text.substr(1, text.size() - 2);
  }
  return below_home(std::move(text));
}

/// Adds the files whose path begins with `typed`; folders end in a slash.
void add_files(const std::string& typed, std::vector<std::string>& words) {
  const std::size_t slash = typed.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : typed.substr(0, slash + 1);
  const std::string start = typed.substr(folder.size());
  std::error_code code;
  fs::directory_iterator files(folder.empty() ? "." : path_of(folder), code);
  for (; !code && files != fs::directory_iterator() && words.size() < kMostFiles; files.increment(code)) {
    const std::string name = files->path().filename().string();
    if (!name.starts_with(start) || (start.empty() && name.starts_with('.'))) continue;
    std::error_code ignored;
    words.push_back(folder + name + (files->is_directory(ignored) ? "/" : ""));
  }
}

}  // namespace

ChatCommand parse_command(const std::string& line) {
  const std::string name = line.substr(0, line.find_first_of(" \t"));
  const std::string argument = trimmed(line.substr(name.size()));
  const Entry* const found =
      std::find_if(std::begin(kWords), std::end(kWords), [&](const Entry& entry) { return name == entry.name; });
  require(found != std::end(kWords), Fault::bad_request, "There is no command '", name, "'; /help lists them.");
  require(found->argument != Argument::needed || !argument.empty(), Fault::bad_request, name, " needs a file; type ",
          found->usage, ".");
  require(found->argument != Argument::none || argument.empty(), Fault::bad_request, name,
          " takes no argument; type it without '", argument, "'.");
  return {found->word, path_of(argument)};
}

Completions complete_chat(const std::string& before_cursor) {
  Completions found;
  const std::size_t space = before_cursor.find(' ');
  const std::string name = before_cursor.substr(0, space);
  const std::string typed = space == std::string::npos ? name : before_cursor.substr(space + 1);
  found.typed = typed.size();
  std::vector<std::string> names;
  if (space == std::string::npos) {
    for (const Entry& entry : kWords)
      names.push_back(entry.name + std::string(entry.argument == Argument::none ? "" : " "));
  } else if (name == "/plan") {
    names = plan::builtin_plan_names();
    names.emplace_back(kOwnPlan);
  }
  std::copy_if(names.begin(), names.end(), std::back_inserter(found.words),
               [&](const std::string& word) { return !typed.empty() && word.starts_with(typed); });
  if (space != std::string::npos && typed.empty()) found.words = names;
  if (space != std::string::npos && (name == "/image" || name == "/plan")) add_files(typed, found.words);
  std::sort(found.words.begin(), found.words.end());
  return found;
}

std::string chat_help() {
  std::string text;
  for (const Entry& entry : kWords) text += fmt::format("  {:<20}{}\n", entry.usage, entry.what);
  return text +
         "Anything else is a message. Begin and end a message of several lines with \"\"\". If it holds no "
         "<image>, its pictures come before the text.\n";
}

}  // namespace lithe::cli
