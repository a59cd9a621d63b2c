#include "cli/chat.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstdio>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"
#include "base/trim.h"
#include "cli/answer_report.h"
#include "cli/answer_watch.h"
#include "cli/chat_words.h"
#include "cli/history.h"
#include "cli/line_editor.h"
#include "cli/question.h"
#include "cli/standard_output.h"
#include "cli/terminal_text.h"
#include "image/decode.h"
#include "session/chat.h"
#include "session/errors.h"

namespace lithe::cli {
namespace {

/// The conversation on a terminal.
class ChatLoop {
 public:
  ChatLoop(const session::Session& session, const ChatOptions& options)
      : session_(session),
        options_(options),
        how_(session::RequestBuilder(session).options(options.question)),
        chat_(session, options.question.system),
        history_(opened_history()),
        editor_(history_.lines(), complete_chat) {
    if (options.question.plan) use_plan(*options.question.plan);
    for (const std::string& file : files_of(options.question)) attach(file);
  }

  int run() {
    write_err(fmt::format("{}, plan {}. /help lists the commands, Ctrl-D ends.\n", printable(session_.facts().name),
                          printable(chat_.plan().name)));
    bool goes_on = true;
    while (goes_on) {
      const LineEditor::Input input = editor_.read("> ");
      if (input.kind == LineEditor::Input::Kind::end) break;
      const std::string line = trimmed(input.text);
      if (line.empty()) continue;
      if (line.starts_with(kBlock)) {
        const std::string block = rest_of_block(line.substr(kBlock.size()));
        if (!block.empty()) goes_on = take(block, false);
        continue;
      }
      remember(line);
      const bool pasted = line.find('\n') != std::string::npos;
      goes_on = take(line, line.front() == '/' && !pasted);
    }
    return 0;
  }

 private:
  static constexpr std::string_view kBlock = "\"\"\"";  // around a message of several lines

  /// Lines up to one that ends the block; empty if Ctrl-C or Ctrl-D breaks it off. Its lines are not remembered.
  std::string rest_of_block(std::string text) {
    while (!text.ends_with(kBlock)) {
      const LineEditor::Input input = editor_.read(". ");
      if (input.kind != LineEditor::Input::Kind::line) return {};
      text += "\n" + input.text.substr(0, input.text.find_last_not_of(" \t") + 1);
    }
    return trimmed(text.substr(0, text.size() - kBlock.size()));
  }

  static History opened_history() {
    try {
      return History(History::usual_file());
    } catch (const Error& error) {
      say(error.what());
      return History(std::filesystem::path());
    }
  }

  void remember(const std::string& line) {
    editor_.remember(line);
    try {
      history_.add(line);
    } catch (const Error& error) {
      say(error.what());
      history_ = History(std::filesystem::path());  // said once
    }
  }

  /// A message or a command; false ends the chat.
  bool take(const std::string& typed, bool is_command) {
    try {
      return session::naming_failures([&] {
        if (is_command) return command(parse_command(typed));
        answer(typed);
        return true;
      });
    } catch (const session::ConversationTooLong& error) {
      say(concat(error.what(), "; /reset begins a new one"));
    } catch (const OutputFailed&) {
      throw;
    } catch (const Error& error) {
      if (error.fault() == Fault::internal) throw;
      say(error.what());
    }
    return true;
  }

  bool command(const ChatCommand& command) {
    switch (command.word) {
      case ChatWord::image:
        attach(command.argument);
        break;
      case ChatWord::plan:
        if (!command.argument.empty()) choose_plan(command.argument);
        write_err(fmt::format("plan {}\n", printable(chat_.plan().name)));
        break;
      case ChatWord::reset:
        chat_.reset();
        pictures_.clear();
        break;
      case ChatWord::help:
        write_err(chat_help());
        break;
      case ChatWord::quit:
        return false;
    }
    return true;
  }

  void attach(const std::string& file) {
    session_.check_pictures(pictures_.size() + 1);
    pictures_.push_back(image::read_image(file, session_.decode_options()));
    const image::Size size = pictures_.back().header().size;
    write_err(
        fmt::format("{}: {} x {} pixels, goes with the next message\n", printable(file), size.width, size.height));
  }

  void choose_plan(const std::string& name) {
    if (name == kOwnPlan) return chat_.use_plan(std::nullopt);
    use_plan(name);
  }

  /// A file is read again, as it may have changed.
  void use_plan(const std::string& name) { chat_.use_plan(session::RequestBuilder(session_).plan(name)); }

  void answer(const std::string& message) {
    AnswerWatch watch;
    session::AnswerOptions how = how_;
    how.cancel = watch.cancel();
    how.on_progress = [&](const session::Progress& progress) { watch.take(progress); };
    how.on_text = [&](const std::string& piece) {
      watch.text_begins();
      write_out(for_stdout(piece));
      return true;
    };
    const session::Answer answer = chat_.ask(message, pictures_, how);
    watch.text_begins();
    if (answer.tokens.empty())
      return say("The answer was ended before its first token; the conversation is unchanged.");
    pictures_.clear();
    write_out("\n");
    if (options_.verbose) write_err(timing_lines(answer));
  }

  static void say(const std::string& sentence) { write_err("lithe: " + sentence + "\n"); }

  const session::Session& session_;
  const ChatOptions& options_;
  session::AnswerOptions how_;
  session::Chat chat_;
  std::vector<image::Source> pictures_;  // of the next message
  History history_;
  LineEditor editor_;
};

}  // namespace

int run_chat(const session::Session& session, const ChatOptions& options) {
  return ChatLoop(session, options).run();
}

}  // namespace lithe::cli
