#include "cli/batch_file.h"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>

#include "base/error.h"
#include "base/printable.h"
#include "base/suggestion.h"

namespace lithe::cli {
namespace {

constexpr std::streamsize kMaxPassedOver = std::streamsize{64} << 20;  // of a longer line, in search of its end

/// A key whose value is null counts as absent.
bool has(const Json& line, const char* key) {
  return line.contains(key) && !line.at(key).is_null();
}

/// `remedy`: what to do if no key of the line is nearly called so.
void require_key(const Json& line, const char* name, const std::string& source, const char* remedy) {
  if (has(line, name)) return;
  for (const MisspeltKey& one : misspelt_keys(line))
    require(one.meant != name, Fault::bad_file, source, ": the key '", name, "' is missing; rename ",
            in_quotes(one.key), " to it.");
  fail(Fault::bad_file, source, ": the key '", name, "' is missing; ", remedy, ".");
}

std::string text_at(const Json& line, const char* key, const std::string& source) {
  const Json& value = line.at(key);
  require(value.is_string(), Fault::bad_file, source, ": '", key, "' is not a string; write it in quotes.");
  return value.get<std::string>();
}

std::filesystem::path below(const std::filesystem::path& folder, const std::string& path) {
  return folder / path;  // an absolute path stays as it is
}

bool is_terminal(const std::filesystem::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  const bool terminal = descriptor >= 0 && isatty(descriptor) == 1;
  if (descriptor >= 0) close(descriptor);
  return terminal;
}

}  // namespace

LineReader::LineReader(const std::filesystem::path& path)
    : path_(path), in_(path, std::ios::binary), buffer_(kMaxLineBytes + 1) {
  std::error_code code;
  require(in_.good() && !std::filesystem::is_directory(path, code), Fault::bad_file, "The file ",
          in_quotes(path.string()), " can't be opened; check its path.");
  const bool device = std::filesystem::is_character_file(path, code) || std::filesystem::is_block_file(path, code);
  require(!device || is_terminal(path), Fault::bad_file, path.string(),
          ": is a device, which may have no end; give a file or a pipe.");
  if (!std::filesystem::is_regular_file(path, code)) return;
  const auto bytes = std::filesystem::file_size(path, code);
  if (!code) bytes_ = static_cast<int64_t>(bytes);
}

/// The rest of a line that is too long.
void LineReader::pass_over() {
  in_.clear();
  in_.ignore(kMaxPassedOver, '\n');
  bytes_read_ += in_.gcount();
  gave_up_ = in_.gcount() == kMaxPassedOver;
  require(!gave_up_, Fault::bad_file, path_.string(), ", line ", number_,
          ": the line does not end within 80 MiB; give a file with a JSON object on each line.");
  fail(Fault::bad_file, path_.string(), ", line ", number_, ": the line is longer than 16 MiB; shorten it.");
}

bool LineReader::next(std::string& line) {
  if (gave_up_) return false;
  while (in_.getline(buffer_.data(), static_cast<std::streamsize>(buffer_.size())) || in_.gcount() > 0) {
    ++number_;
    bytes_read_ += in_.gcount();
    if (in_.fail()) pass_over();
    const auto length = static_cast<std::size_t>(in_.gcount()) - (in_.eof() ? 0 : 1);
    line.assign(buffer_.data(), length);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.find_first_not_of(" \t") != std::string::npos) return true;
  }
  return false;
}

std::optional<double> LineReader::share_read() const {
  if (!bytes_) return std::nullopt;
  return *bytes_ > 0 ? static_cast<double>(bytes_read_) / static_cast<double>(*bytes_) : 1.0;
}

bool is_id(const Json& value) {
  return value.is_string() || value.is_number_integer();
}

std::string text_of_id(const Json& id) {
  return json_text(id);
}

std::string id_of(const Json& line, const std::string& source) {
  require(line.is_object(), Fault::bad_file, source,
          ": the line is not a JSON object; write {\"id\": .., \"prompt\": ..}.");
  require_key(line, "id", source, "give every line its own");
  require(is_id(line.at("id")), Fault::bad_file, source,
          ": 'id' is neither a string nor a whole number; give one of the two.");
  return text_of_id(line.at("id"));
}

std::vector<MisspeltKey> misspelt_keys(const Json& line) {
  static const std::vector<std::string> kKnown{"id", "image", "images", "prompt", "plan", "max_tokens"};
  const bool has_images = has(line, "image") || has(line, "images");
  std::vector<MisspeltKey> found;
  for (const auto& [key, value] : line.items()) {
    if (std::find(kKnown.begin(), kKnown.end(), key) != kKnown.end()) continue;
    const std::string meant = closest_name(key, kKnown);
    const bool is_there = has(line, meant.c_str()) || (has_images && meant.starts_with("image"));
    if (!meant.empty() && !is_there) found.push_back({key, meant});
  }
  return found;
}

BatchItem read_item(const Json& line, const std::filesystem::path& folder, const std::string& source) {
  BatchItem item;
  require_key(line, "prompt", source, "write the question there");
  item.prompt = text_at(line, "prompt", source);
  require(!has(line, "image") || !has(line, "images"), Fault::bad_file, source,
          ": both 'image' and 'images' are given; keep one of them.");
  if (has(line, "image")) item.images.push_back(below(folder, text_at(line, "image", source)));
  if (has(line, "images")) {
    const Json& images = line.at("images");
    require(images.is_array(), Fault::bad_file, source, ": 'images' is not a list; write [\"a.png\", \"b.png\"].");
    for (const Json& image : images) {
      require(image.is_string(), Fault::bad_file, source, ": 'images' holds something that is not a path.");
      item.images.push_back(below(folder, image.get<std::string>()));
    }
  }
  if (has(line, "plan")) item.plan = text_at(line, "plan", source);
  if (has(line, "max_tokens")) {
    const Json& tokens = line.at("max_tokens");
    const bool whole =
        tokens.is_number_integer() && !(tokens.is_number_unsigned() && tokens.get<uint64_t>() > INT64_MAX);
    require(whole, Fault::bad_file, source, ": 'max_tokens' is not a whole number.");
    item.max_tokens = tokens.get<int64_t>();
  }
  return item;
}

}  // namespace lithe::cli
