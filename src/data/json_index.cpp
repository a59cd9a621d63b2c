#include "data/json_index.h"

#include "base/error.h"

namespace lithe::data {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

}  // namespace

JsonIndex::JsonIndex(std::string_view text, const std::string& file) : text_(text) {
  if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);  // a mark of UTF-8
  const std::size_t first = skip_space(0);
  require(first < text_.size(), Fault::bad_file, file, ": is empty");
  list_ = text_[first] == '[';
  if (list_)
    index_list(file);
  else
    index_lines();
}

std::size_t JsonIndex::skip_space(std::size_t at) const {
  return std::min(text_.find_first_not_of(kSpace, at), text_.size());
}

/// The place after the value that begins at `at`.
std::size_t JsonIndex::skip_value(std::size_t at, const std::string& file) const {
  int64_t depth = 0;
  while (at < text_.size()) {
    const char c = text_[at];
    if (c == '"') {
      for (++at; at < text_.size() && text_[at] != '"'; ++at) at += text_[at] == '\\' ? 1 : 0;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;
      if (--depth == 0) return at + 1;
    } else if (c == ',' && depth == 0) {
      return at;
    }
    ++at;
  }
  fail(Fault::bad_file, file, ": record ", begins_.size(), " does not end; is the file cut off?");
}

void JsonIndex::index_list(const std::string& file) {
  std::size_t at = skip_space(skip_space(0) + 1);
  while (at < text_.size() && (text_[at] != ']' || !begins_.empty())) {
    begins_.push_back(at);
    at = skip_space(skip_value(at, file));
    if (at < text_.size() && text_[at] == ']') break;
    require(at < text_.size() && text_[at] == ',', Fault::bad_file, file, ": record ", begins_.size(),
            " is followed by ",
            at < text_.size() ? "something other than a comma" : "the end of the file; is it cut off?");
    at = skip_space(at + 1);
  }
  require(at < text_.size(), Fault::bad_file, file, ": the list does not end; is the file cut off?");
  require(skip_space(at + 1) == text_.size(), Fault::bad_file, file, ": the list is followed by something else");
  begins_.push_back(at);
}

void JsonIndex::index_lines() {
  for (std::size_t at = skip_space(0); at < text_.size(); at = skip_space(std::min(text_.find('\n', at), text_.size())))
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

}  // namespace lithe::data
