#include "eval/samples_file.h"

#include "base/error.h"
#include "base/printable.h"

namespace lithe::eval {
namespace {

constexpr std::size_t kMostLineBytes = std::size_t{64} << 20;

bool is_line_of_run(const Json& line) {
  if (!line.is_object() || !line.contains("question") || !line.at("question").is_number_unsigned()) return false;
  if (!line.contains("id") || !line.at("id").is_string()) return false;
  const auto holds = [&](const char* key, auto is) { return line.contains(key) && (line.at(key).*is)(); };
  return holds("answer", &Json::is_string) || holds("error", &Json::is_string) ||
         holds("label", &Json::is_number_unsigned) || holds("scores", &Json::is_array) ||
         (holds("nll", &Json::is_number) && holds("answer_tokens", &Json::is_number_unsigned));
}

}  // namespace

std::string text_of_line(const Json& line) {
  return json_text(line) + "\n";
}

SamplesFile::SamplesFile(const std::filesystem::path& path) : path_(path), lines_(path) {
  require(lines_.is_file(), Fault::bad_file, "The file ", in_quotes(path.string()),
          " is not a regular file; give another --output.");
  const auto source = [&](const io::AppendedLines::Line& line) {
    return concat(in_quotes(path_.string()), ", line ", line.number);
  };
  lines_.read(
      kMostLineBytes, "the samples of `lithe eval`",
      [&](const io::AppendedLines::Line& line) { take(line.text, line.begin, source(line)); },
      [&](const io::AppendedLines::Line& line) {
        if (Json::accept(line.text)) {  // whole but for its newline
          take(line.text, line.begin, source(line));
          return lines_.append("\n");
        }
        require(std::string_view(R"({"question":)").starts_with(line.text.substr(0, 12)), Fault::bad_file, source(line),
                ": this is not a line that `lithe eval` writes; give another --output.");
        lines_.shorten(line.begin);
      });
}

void SamplesFile::take(std::string_view text, int64_t begin, const std::string& source) {
  Json line = Json::accept(text) ? parse_json(text, source) : Json();
  require(is_line_of_run(line), Fault::bad_file, source,
          ": this is not a line that `lithe eval` writes; give another --output.");
  const auto question = line.at("question").get<int64_t>();
  tidy_ = tidy_ && (last_.empty() || last_.rbegin()->first < question);
  end_ = begin + static_cast<int64_t>(text.size()) + 1;
  last_[question] = {begin, end_};
  if (line.contains("error")) {
    errors_[question] = std::move(line);
    return;
  }
  errors_.erase(question);
  answers_[question] = std::move(line);
}

std::map<int64_t, Json> SamplesFile::take_lines() {
  std::map<int64_t, Json> lines = std::move(answers_);
  lines.merge(errors_);
  return lines;
}

void SamplesFile::add(const Json& line) {
  const std::string text = text_of_line(line);
  lines_.append(text);
  const auto question = line.at("question").get<int64_t>();
  tidy_ = tidy_ && (last_.empty() || last_.rbegin()->first < question);
  last_[question] = {end_, end_ + static_cast<int64_t>(text.size())};
  end_ += static_cast<int64_t>(text.size());
}

void SamplesFile::tidy() {
  if (tidy_) return;
  io::OutputFile whole(path_);
  for (const auto& [question, place] : last_) lines_.copy(place.begin, place.end, whole);
  whole.commit();
  tidy_ = true;
}

}  // namespace lithe::eval
