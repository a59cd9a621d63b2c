#include "cli/batch_output.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "cli/batch_file.h"
#include "io/output_file.h"

namespace lithe::cli {
namespace {

// prompt_rows and vision_rows are what release 0.1 called the two counts. head and labels are METER's.
constexpr std::array kKeys = {"id",          "answer",      "tokens", "stop", "line",  "prompt_tokens", "vision_tokens",
                              "prompt_rows", "vision_rows", "error",  "head", "labels"};

constexpr std::string_view kLine = "line ";

/// "{"id": .., "answer": "..", ..}" or "{["id": ..,] "line": N, "error": ".."}", and no key of another's.
bool is_line_of_batch(const Json& line) {
  if (!line.is_object()) return false;
  for (const auto& item : line.items()) {
    if (std::find(kKeys.begin(), kKeys.end(), item.key()) == kKeys.end()) return false;
  }
  const auto holds_text = [&](const char* key) { return line.contains(key) && line.at(key).is_string(); };
  const bool has_id = line.contains("id");
  if (has_id && !is_id(line.at("id"))) return false;
  if (holds_text("answer")) return has_id;
  return holds_text("error") && line.contains("line") && line.at("line").is_number_integer();
}

/// Takes `literal` off the front of `text`; true also if `text` ends inside it, and is then empty.
bool take(std::string_view& text, std::string_view literal) {
  const std::size_t count = std::min(text.size(), literal.size());
  if (text.substr(0, count) != literal.substr(0, count)) return false;
  text.remove_prefix(count);
  return true;
}

/// The same for a JSON string or a whole number.
bool take_id(std::string_view& text) {
  if (text.empty()) return true;
  std::size_t end = 1;
  if (text.front() == '"') {
    while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
    text.remove_prefix(std::min(end + 1, text.size()));
    return true;
  }
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.front() != '-' && !is_digit(text.front())) return false;
  while (end < text.size() && is_digit(text[end])) ++end;
  text.remove_prefix(end);
  return true;
}

/// What stands after the id: the answer, or the number of the line and the error.
bool begins_rest(std::string_view text) {
  std::string_view answer = text;
  return take(answer, R"("answer":")") || take(text, R"("line":)");
}

/// Of the beginning of a line: quotes within an id are escaped.
bool goes_past_id(std::string_view text) {
  const auto holds = [&](const char* key) { return text.find(key) != std::string_view::npos; };
  return holds(R"("answer":)") || holds(R"("line":)");
}

}  // namespace

bool begins_a_line(std::string_view text) {
  std::string_view with_id = text;
  if (take(with_id, R"({"id":)")) return take_id(with_id) && take(with_id, ",") && begins_rest(with_id);
  return take(text, "{") && take(text, R"("line":)") && take_id(text) && take(text, R"(,"error":")");
}

std::string key_of_line(int64_t number) {
  return concat(kLine, number);  // the JSON text of an id never looks like this
}

BatchOutput::BatchOutput(const std::filesystem::path& path) : path_(path), lines_(path) {
  if (!lines_.is_file()) return;
  using Line = io::AppendedLines::Line;
  lines_.read(
      2 * kMaxLineBytes, "the output of a batch",
      [&](const Line& line) {
        take_line(line.text, line.begin, concat(in_quotes(path_.string()), ", line ", line.number));
      },
      [&](const Line& line) { drop_torn_line(line.text, line.begin); });
}

void BatchOutput::take_line(std::string_view text, int64_t begin, const std::string& source) {
  const Json line = Json::accept(text) ? parse_json(text, source) : Json();
  require(is_line_of_batch(line), Fault::bad_file, source,
          ": this is not a line that `lithe batch` writes; give the output another name.");
  const std::string id = line.contains("id") ? id_of(line, source) : key_of_line(line.at("line").get<int64_t>());
  const int64_t end = begin + static_cast<int64_t>(text.size()) + 1;
  if (line.contains("answer")) {
    answered_.insert(id);
    forget_error(id);
    return;
  }
  forget_error(id);
  if (answered_.count(id) > 0) {
    untrue_.emplace(begin, end);
  } else {
    errors_[id] = {std::string(text), begin, end};
  }
}

void BatchOutput::drop_torn_line(std::string_view text, int64_t begin) {
  if (Json::accept(text)) {  // whole but for its newline
    take_line(text, begin, concat(in_quotes(path_.string()), ", last line"));
    return lines_.append("\n");
  }
  // An id alone may be another program's. If no line comes before it, too little would be lost to take that risk.
  require(begins_a_line(text) && (begin > 0 || goes_past_id(text)), Fault::bad_file, "The file ",
          in_quotes(path_.string()),
          " does not end with a line that `lithe batch` writes; give the output another name.");
  lines_.shorten(begin);
}

void BatchOutput::write_answer(const std::string& id, const Json& line) {
  lines_.append(json_text(line) + "\n");
  forget_error(id);
}

void BatchOutput::write_error(const std::string& key, const Json& line) {
  const std::string text = json_text(line);
  const auto old = errors_.find(key);
  if (old != errors_.end() && old->second.text == text) return;
  lines_.append(text + "\n");
  forget_error(key);
}

void BatchOutput::forget_error(const std::string& key) {
  const auto old = errors_.find(key);
  if (old == errors_.end()) return;
  untrue_.emplace(old->second.begin, old->second.end);
  errors_.erase(old);
}

void BatchOutput::forget_other_lines(const std::set<std::string>& confirmed) {
  std::vector<std::string> gone;
  for (const auto& [key, error] : errors_)
    if (key.starts_with(kLine) && !confirmed.contains(key)) gone.push_back(key);
  for (const std::string& key : gone) forget_error(key);
}

void BatchOutput::close() {
  if (untrue_.empty()) return;
  io::OutputFile whole(path_);
  int64_t at = 0;
  for (const auto& [begin, end] : untrue_) {
    lines_.copy(at, begin, whole);
    at = end;
  }
  lines_.copy(at, lines_.size(), whole);
  whole.commit();
  untrue_.clear();
}

}  // namespace lithe::cli
