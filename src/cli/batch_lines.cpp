#include "cli/batch_lines.h"

#include <utility>

#include "session/errors.h"

namespace lithe::cli {

BatchLines::BatchLines(const std::filesystem::path& input, BatchOutput& output, const eval::Shard& shard)
    : path_(input), reader_(input), output_(output), shard_(shard) {}

bool BatchLines::next(const std::function<void(Request)>& take,
                      const std::function<void(const Json& id, int64_t line, const Error&)>& refuse) {
  Json id;
  try {
    if (session::naming_failures([&] { return take_line(id, take); })) return true;
    output_.forget_other_lines(refused_);  // of lines that the input no longer has
    return false;
  } catch (const Error& error) {
    if (!is_mine()) return true;
    if (id.is_null()) refused_.insert(key_of_line(reader_.number()));
    refuse(id, reader_.number(), error);
    return true;
  }
}

/// `id` is set once it is known, and the request has no answer.
bool BatchLines::take_line(Json& id, const std::function<void(Request)>& take) {
  std::string text;
  if (!reader_.next(text)) return false;
  if (!is_mine()) return true;
  const std::string source = concat(path_.string(), ", line ", reader_.number());
  Json line = parse_json(text, source);
  const std::string key = id_of(line, source);
  const auto [known, is_new] = lines_of_ids_.emplace(key, reader_.number());
  require(is_new, Fault::bad_file, source, ": line ", known->second, " has the same 'id'; give every line its own.");
  output_.forget_error(key_of_line(reader_.number()));  // the line may have been mended
  if (output_.has_answer(key)) {
    ++skipped_;
    return true;
  }
  id = line.at("id");
  BatchItem item = read_item(line, folder_of_pictures(), source);
  take({.id = id, .line = reader_.number(), .source = source, .json = std::move(line), .item = std::move(item)});
  return true;
}

/// What relative paths are relative to: the folder of the file, or the one that the program runs in.
std::filesystem::path BatchLines::folder_of_pictures() const {
  return reader_.is_file() ? path_.parent_path() : std::filesystem::path();
}

void BatchLines::write_answer(const Json& id, const Json& line) {
  output_.write_answer(text_of_id(id), line);
  ++answered_;
}

void BatchLines::write_error(const Json& id, int64_t line, const std::string& sentence) {
  Json json;
  if (!id.is_null()) json["id"] = id;
  json["line"] = line;
  json["error"] = sentence;
  output_.write_error(id.is_null() ? key_of_line(line) : text_of_id(id), json);
  ++failed_;
}

}  // namespace lithe::cli
