#include "data/json_index.h"

#include <algorithm>
#include <optional>

#include "base/error.h"

namespace lithe::data {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

std::string_view without_utf8_mark(std::string_view text) {
  return text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text;
}

std::size_t skip_space(std::string_view text, std::size_t at) {
  return std::min(text.find_first_not_of(kSpace, at), text.size());
}

/// The place after the string that begins at `at`.
std::size_t skip_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) at += text[at] == '\\' ? 1 : 0;
  return at + 1;
}

/// The place after the value that begins at `at`; absent if it does not end.
std::optional<std::size_t> skip_value(std::string_view text, std::size_t at) {
  int64_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = skip_string(text, at);
      continue;
    }
    if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;
      if (--depth == 0) return at + 1;
    } else if (c == ',' && depth == 0) {
      return at;
    }
    ++at;
  }
  return std::nullopt;
}

}  // namespace

JsonIndex::JsonIndex(std::string_view text, const std::string& file) : text_(without_utf8_mark(text)) {
  const std::size_t first = skip_space(text_, 0);
  require(first < text_.size(), Fault::bad_file, file, ": is empty");
  list_ = text_[first] == '[';
  if (list_)
    index_list(file);
  else
    index_lines();
}

void JsonIndex::index_list(const std::string& file) {
  std::size_t at = skip_space(text_, skip_space(text_, 0) + 1);
  while (at < text_.size() && (text_[at] != ']' || !begins_.empty())) {
    begins_.push_back(at);
    const std::optional<std::size_t> end = skip_value(text_, at);
    require(end.has_value(), Fault::bad_file, file, ": record ", begins_.size(), " does not end; is the file cut off?");
    at = skip_space(text_, *end);
    if (at < text_.size() && text_[at] == ']') break;
    require(at < text_.size() && text_[at] == ',', Fault::bad_file, file, ": record ", begins_.size(),
            " is followed by ",
            at < text_.size() ? "something other than a comma" : "the end of the file; is it cut off?");
    at = skip_space(text_, at + 1);
  }
  require(at < text_.size(), Fault::bad_file, file, ": the list does not end; is the file cut off?");
  require(skip_space(text_, at + 1) == text_.size(), Fault::bad_file, file, ": the list is followed by something else");
  begins_.push_back(at);
}

void JsonIndex::index_lines() {
  for (std::size_t at = skip_space(text_, 0); at < text_.size();
       at = skip_space(text_, std::min(text_.find('\n', at), text_.size())))
    begins_.push_back(at);
  begins_.push_back(text_.size());
}

std::string_view JsonIndex::operator[](int64_t i) const {
  const std::size_t begin = begins_[static_cast<std::size_t>(i)];
  std::string_view record = text_.substr(begin, begins_[static_cast<std::size_t>(i) + 1] - begin);
  const std::size_t last = record.find_last_not_of(kSpace);
  // Between two values of a list there is one comma.
  const bool comma = list_ && i + 1 < size() && last != record.npos && record[last] == ',';
  return record.substr(0, last == record.npos ? 0 : last + (comma ? 0 : 1));
}

std::string_view json_member(std::string_view text, std::string_view key, const std::string& file) {
  text = without_utf8_mark(text);
  std::size_t at = skip_space(text, 0);
  require(at < text.size() && text[at] == '{', Fault::bad_file, file, ": is not a JSON object");
  at = skip_space(text, at + 1);
  while (at < text.size() && text[at] == '"') {
    const std::size_t end = skip_string(text, at);
    const std::size_t colon = skip_space(text, end);
    if (colon >= text.size() || text[colon] != ':') break;
    const std::size_t begin = skip_space(text, colon + 1);
    const std::optional<std::size_t> value_end = skip_value(text, begin);
    require(value_end.has_value(), Fault::bad_file, file, ": does not end; is the file cut off?");
    if (text.substr(at + 1, end - at - 2) == key) return text.substr(begin, *value_end - begin);
    at = skip_space(text, *value_end);
    if (at < text.size() && text[at] == ',') at = skip_space(text, at + 1);
  }
  fail(Fault::bad_file, file, ": has no '", key, "'");
}

}  // namespace lithe::data
