#pragma once

#include <memory>
#include <optional>
#include <string>

struct LithePattern;

namespace lithe::text {

/// What stands around a pattern; both are patterns, and `before` begins where the text begins.
struct PatternFrame {
  std::string before = "", after = "$";
};

/// A regular expression as Python's `re` reads it, for names of modules. Hostile patterns cost neither the stack nor
/// more than a bounded number of steps.
class Pattern {
 public:
  /// `origin` names the pattern in errors. Throws Error{bad_file}.
  Pattern(const std::string& source, std::string origin, const PatternFrame& frame = {});

  /// Throws Error{bad_file} if the match takes too many steps.
  bool matches(const std::string& text) const { return number_in(text).has_value(); }
  /// What the group `(?P<number>..)` of the frame holds; absent if the pattern does not match.
  std::optional<std::string> number_in(const std::string& text) const;

 private:
  std::shared_ptr<const LithePattern> pattern_;
  std::string origin_;
};

}  // namespace lithe::text
