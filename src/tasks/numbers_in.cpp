#include "tasks/mmmu_answer.h"
#include "text/characters.h"

namespace lithe::tasks {
namespace {

/// The three patterns by which MMMU finds numbers. \d, \w and \b are those of Python's re over a str.
class NumberSearch {
 public:
  explicit NumberSearch(const std::string& text) : text_(text::characters_of(text)) {}

  using Pattern = std::size_t (NumberSearch::*)(std::size_t begin) const;

  /// Every match of a pattern, which gives where the match ends; npos: there is none from here.
  void find(Pattern pattern, std::vector<std::string>& found) const {
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t end = (this->*pattern)(at);
      if (end == kNone) {
        ++at;
        continue;
      }
      found.push_back(text::text_of(std::span(text_).subspan(at, end - at)));
      at = end;
    }
  }

  /// -?\b\d{1,3}(?:,\d{3})+\b
  std::size_t with_commas(std::size_t begin) const {
    const std::size_t first = after_minus(begin);
    if (first == begin && begin > 0 && text_[begin - 1].word()) return kNone;
    std::size_t at = digits_end(first);
    if (at == first || at - first > 3) return kNone;
    std::size_t end = kNone;
    while (is(at, ',') && digit(at + 1) && digit(at + 2) && digit(at + 3)) {
      at += 4;
      if (at == text_.size() || !text_[at].word()) end = at;
    }
    return end;
  }

  /// -?\d+(?:\.\d+)?[eE][+-]?\d+
  std::size_t scientific(std::size_t begin) const {
    const std::size_t first = after_minus(begin);
    std::size_t at = digits_end(first);
    if (at == first) return kNone;
    if (is(at, '.') && digit(at + 1)) at = digits_end(at + 1);
    return exponent_end(at);
  }

  /// -?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])
  std::size_t simple(std::size_t begin) const {
    const std::size_t first = after_minus(begin), whole = digits_end(first);
    if (is(whole, '.') && digit(whole + 1)) {
      const std::size_t end = digits_end(whole + 1);
      if (exponent_end(end) == kNone && !is(end, ',')) return end;
    }
    const bool bounded = whole == text_.size() || !text_[whole].word();
    return whole > first && bounded && !is(whole, ',') ? whole : kNone;
  }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  bool is(std::size_t at, char32_t code) const { return at < text_.size() && text_[at].code == code; }
  bool digit(std::size_t at) const { return at < text_.size() && text_[at].digit >= 0; }
  std::size_t after_minus(std::size_t at) const { return is(at, '-') ? at + 1 : at; }

  std::size_t digits_end(std::size_t at) const {
    while (digit(at)) ++at;
    return at;
  }

  /// Where [eE][+-]?\d+ ends.
  std::size_t exponent_end(std::size_t at) const {
    if (!is(at, 'e') && !is(at, 'E')) return kNone;
    ++at;
    if (is(at, '+') || is(at, '-')) ++at;
    return digit(at) ? digits_end(at) : kNone;
  }

  text::Characters text_;
};

}  // namespace

std::vector<std::string> numbers_in(const std::string& text) {
  const NumberSearch search(text);
  std::vector<std::string> found;
  search.find(&NumberSearch::with_commas, found);
  search.find(&NumberSearch::scientific, found);
  search.find(&NumberSearch::simple, found);
  return found;
}

}  // namespace lithe::tasks
