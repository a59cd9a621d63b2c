#include "tasks/python_list.h"

#include <charconv>
#include <cstdint>

#include "base/error.h"
#include "base/printable.h"
#include "text/characters.h"

namespace lithe::tasks {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::vector<std::string> list() {
    std::vector<std::string> texts;
    need('[');
    while (!take(']')) {
      texts.push_back(literals());
      if (take(']')) break;
      need(',');
    }
    skip_blanks();
    if (at_ != text_.size()) refuse();
    return texts;
  }

 private:
  [[noreturn]] void refuse() const {
    fail(Fault::bad_file, "the list ", in_quotes(std::string(text_)), " is not one of texts");
  }

  void skip_blanks() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }

  bool take(char mark) {
    skip_blanks();
    if (at_ == text_.size() || text_[at_] != mark) return false;
    ++at_;
    return true;
  }

  void need(char mark) {
    if (!take(mark)) refuse();
  }

  /// A text; several that follow each other are one.
  std::string literals() {
    std::string whole = literal();
    for (skip_blanks(); at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"'); skip_blanks())
      whole += literal();
    return whole;
  }

  std::string literal() {
    skip_blanks();
    if (at_ == text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) refuse();
    const char quote = text_[at_++];
    std::string read;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] == '\\')
        read += escaped();
      else
        read += text_[at_++];
    }
    if (at_ == text_.size()) refuse();
    ++at_;
    return read;
  }

  /// What stands for a backslash and what follows it. Both stay if they mean nothing together, as in LaTeX.
  std::string escaped() {
    constexpr std::string_view kMarks = "\\'\"abfnrtv", kMeanings = "\\'\"\a\b\f\n\r\t\v";
    if (++at_ == text_.size()) refuse();
    const char mark = text_[at_++];
    const std::size_t simple = kMarks.find(mark);
    if (simple != kMarks.npos) return {kMeanings[simple]};
    if (mark == '\n') return {};
    if (mark == 'x') return number(2, 16);
    if (mark == 'u') return number(4, 16);
    if (mark == 'U') return number(8, 16);
    if (mark >= '0' && mark <= '7') {
      --at_;
      return number(octal_digits(), 8);
    }
    return {'\\', mark};
  }

  std::size_t octal_digits() const {
    std::size_t count = 0;
    while (count < 3 && at_ + count < text_.size() && text_[at_ + count] >= '0' && text_[at_ + count] <= '7') ++count;
    return count;
  }

  std::string number(std::size_t digits, int base) {
    uint32_t code = 0;
    if (at_ + digits > text_.size()) refuse();
    const char* const begin = text_.data() + at_;
    const auto read = std::from_chars(begin, begin + digits, code, base);
    if (read.ptr != begin + digits || code > 0x10FFFF) refuse();
    at_ += digits;
    const text::Character character{.code = code};
    return text::text_of({&character, 1});
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<std::string> python_list(std::string_view text) {
  return Reader(text).list();
}

}  // namespace lithe::tasks
