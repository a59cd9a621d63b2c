#include "cli/line_editor.h"

#include <histedit.h>
#include <unistd.h>
#include <algorithm>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"
#include "cli/standard_output.h"

namespace lithe::cli {
namespace {

constexpr int kHistoryLines = 1000;

/// What all words begin with, whole characters.
std::string common_start(const std::vector<std::string>& words) {
  std::string start = words.front();
  for (const std::string& word : words) {
    const auto end = std::mismatch(start.begin(), start.end(), word.begin(), word.end()).first;
    start.erase(end, start.end());
  }
  const auto cuts_character = [&](const std::string& word) {
    return word.size() > start.size() && (static_cast<unsigned char>(word[start.size()]) & 0xC0) == 0x80;
  };
  while (!start.empty() && std::any_of(words.begin(), words.end(), cuts_character)) start.pop_back();
  return start;
}

bool can_bracket_pastes() {
  const char* const kind = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

}  // namespace

class LineEditor::Impl {
 public:
  Impl(const std::vector<std::string>& history, Complete complete) : complete_(std::move(complete)) {
    // libedit reads characters as the locale says; without one they would be single bytes.
    std::setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
    editor_.reset(el_init("lithe", stdin, stderr, stderr));
    history_.reset(history_init());
    require(editor_ && history_, Fault::internal,
            "The terminal can't be set up for typing; pipe the prompt in instead.");
    HistEvent event;
    ::history(history_.get(), &event, H_SETSIZE, kHistoryLines);
    for (const std::string& line : history) remember(line);
    el_set(editor_.get(), EL_CLIENTDATA, this);
    el_set(
        editor_.get(), EL_PROMPT, +[](EditLine* editor) { return of(editor).prompt_.data(); });
    el_set(editor_.get(), EL_SIGNAL, 1);
    el_set(editor_.get(), EL_EDITOR, "emacs");
    el_set(editor_.get(), EL_HIST, ::history, history_.get());
    add(L"lithe-complete", L"Complete a command or a file",
        [](EditLine* editor, wint_t) { return of(editor).complete(); });
    el_set(editor_.get(), EL_BIND, "^I", "lithe-complete", nullptr);
    // Ctrl-C is a key while a line is edited: a signal that comes between two keys would wait for the next one.
    el_set(editor_.get(), EL_SETTY, "-d", "-isig", nullptr);
    add(L"lithe-interrupt", L"Give the line up", [](EditLine* editor, wint_t) { return of(editor).interrupt(); });
    el_set(editor_.get(), EL_BIND, "^C", "lithe-interrupt", nullptr);
    add(L"lithe-suspend", L"Go to the background", [](EditLine*, wint_t) -> unsigned char {
      std::raise(SIGTSTP);
      return CC_REDISPLAY;
    });
    el_set(editor_.get(), EL_BIND, "^Z", "lithe-suspend", nullptr);
    el_set(editor_.get(), EL_BIND, "^R", "em-inc-search-prev", nullptr);
    add(L"lithe-paste", L"Take in what is pasted", [](EditLine* editor, wint_t) { return of(editor).paste(); });
    el_set(editor_.get(), EL_BIND, "\\e[200~", "lithe-paste", nullptr);
    el_source(editor_.get(), nullptr);  // ~/.editrc
  }

  Input read(const std::string& prompt) {
    prompt_ = prompt;
    interrupted_ = false;
    int bytes = 0;
    // The terminal then marks what is pasted, so that its lines are one message.
    if (brackets_) write_err("\033[?2004h");
    const char* line = el_gets(editor_.get(), &bytes);
    if (brackets_) write_err("\033[?2004l");
    if (interrupted_) {
      write_err("\n");
      return {Input::Kind::interrupted, {}};
    }
    if (!line || bytes <= 0) {
      write_err("\n");
      return {Input::Kind::end, {}};
    }
    std::string text(line, static_cast<std::size_t>(bytes));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    return {Input::Kind::line, std::move(text)};
  }

  void remember(const std::string& line) {
    HistEvent event;
    ::history(history_.get(), &event, H_ENTER, line.c_str());
  }

 private:
  using Function = unsigned char (*)(EditLine*, wint_t);
  /// In wide characters: libedit keeps those as they are, and a copy of narrow ones that it never frees.
  void add(const wchar_t* name, const wchar_t* what, Function function) {
    el_wset(editor_.get(), EL_ADDFN, name, what, function);
  }

  static Impl& of(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return *static_cast<Impl*>(self);
  }

  unsigned char interrupt() {
    interrupted_ = true;
    return CC_EOF;
  }

  /// Inserts what the terminal sends up to the end of the paste. Control characters but tabs and newlines are left out;
  /// so are newlines at the end, so that Enter sends the message, not the paste.
  unsigned char paste() {
    static constexpr std::wstring_view kEnd = L"\033[201~";
    std::wstring text;
    for (wchar_t key = 0; !text.ends_with(kEnd);) {
      if (el_wgetc(editor_.get(), &key) != 1) return CC_EOF;
      const bool second_half = key == L'\n' && text.ends_with(L'\r');
      if (!second_half) text += key;
    }
    text.resize(text.size() - kEnd.size());
    std::replace(text.begin(), text.end(), L'\r', L'\n');
    std::erase_if(
        text, [](wchar_t key) { return (key < 0x20 && key != L'\n' && key != L'\t') || (key >= 0x7F && key < 0xA0); });
    text.erase(text.find_last_not_of(L'\n') + 1);
    if (text.empty()) return CC_NORM;
    return el_winsertstr(editor_.get(), text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }

  unsigned char complete() {
    const LineInfo* info = el_line(editor_.get());
    const Completions found = complete_({info->buffer, info->cursor});
    if (found.words.empty()) return CC_ERROR;
    const std::string start = common_start(found.words);
    if (start.size() > found.typed) {
      el_insertstr(editor_.get(), start.c_str() + found.typed);
      return CC_REFRESH;
    }
    if (found.words.size() == 1) return CC_ERROR;
    write_err("\n");
    for (const std::string& word : found.words) write_err(printable(word) + "\n");
    return CC_REDISPLAY;
  }

  struct EndEditor {
    void operator()(EditLine* editor) const { el_end(editor); }
  };
  struct EndHistory {
    void operator()(::History* history) const { history_end(history); }
  };
  std::string prompt_;
  bool interrupted_ = false;
  bool brackets_ = can_bracket_pastes();
  Complete complete_;
  std::unique_ptr<::History, EndHistory> history_;
  std::unique_ptr<EditLine, EndEditor> editor_;  // ends before its history
};

LineEditor::LineEditor(const std::vector<std::string>& history, Complete complete)
    : impl_(std::make_unique<Impl>(history, std::move(complete))) {}
LineEditor::~LineEditor() = default;

LineEditor::Input LineEditor::read(const std::string& prompt) {
  return impl_->read(prompt);
}
void LineEditor::remember(const std::string& line) {
  impl_->remember(line);
}

}  // namespace lithe::cli
