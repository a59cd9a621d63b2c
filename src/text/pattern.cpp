#include "text/pattern.h"

#include "base/printable.h"
#include "text/rust_boundary.h"

namespace lithe::text {

Pattern::Pattern(const std::string& source, std::string origin, const PatternFrame& frame)
    : origin_(std::move(origin) + " " + in_quotes(source)) {
  LithePattern* opened = nullptr;
  LitheBytes error{};
  const int code = lithe_pattern_open(source.data(), source.size(), frame.before.data(), frame.before.size(),
                                      frame.after.data(), frame.after.size(), &opened, &error);
  check_rust(code, error, Fault::bad_file, origin_ + " is not a regular expression that can be used");
  pattern_ = {opened, [](const LithePattern* pattern) { lithe_pattern_close(const_cast<LithePattern*>(pattern)); }};
}

std::optional<std::string> Pattern::number_in(const std::string& text) const {
  bool fits = false;
  LitheBytes number{}, error{};
  const int code = lithe_pattern_match(pattern_.get(), text.data(), text.size(), &fits, &number, &error);
  check_rust(code, error, Fault::bad_file, origin_ + " cannot be matched with " + in_quotes(text));
  std::string held = take_rust(number);
  return fits ? std::optional(std::move(held)) : std::nullopt;
}

}  // namespace lithe::text
