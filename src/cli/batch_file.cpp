#include "cli/batch_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/error.h"

namespace lithe::cli {
namespace {

constexpr std::size_t kMaxLineBytes = std::size_t{16} << 20;

std::string text_at(const Json& line, const char* key, const std::string& source) {
  const Json& value = line.at(key);
  require(value.is_string(), Fault::bad_file, source, ": '", key, "' is no string; write it in quotes.");
  return value.get<std::string>();
}

std::string below(const std::filesystem::path& folder, const std::string& path) {
  return (folder / path).string();  // an absolute path stays as it is
}

}  // namespace

LineReader::LineReader(const std::filesystem::path& path)
    : path_(path), in_(path, std::ios::binary), buffer_(kMaxLineBytes + 1) {
  std::error_code code;
  require(in_.good() && !std::filesystem::is_directory(path, code), Fault::bad_file, "The file '", path.string(),
          "' can't be opened; check its path.");
  if (!std::filesystem::is_regular_file(path, code)) return;
  const auto bytes = std::filesystem::file_size(path, code);
  if (!code) bytes_ = static_cast<int64_t>(bytes);
}

bool LineReader::next(std::string& line) {
  while (in_.getline(buffer_.data(), static_cast<std::streamsize>(buffer_.size())) || in_.gcount() > 0) {
    ++number_;
    bytes_read_ += in_.gcount();
    if (in_.fail()) {
      in_.clear();
      in_.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
      bytes_read_ += in_.gcount();
      fail(Fault::bad_file, path_.string(), ", line ", number_, ": the line is longer than 16 MiB; shorten it.");
    }
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

std::string id_of(const Json& line, const std::string& source) {
  require(line.is_object(), Fault::bad_file, source,
          ": the line is no JSON object; write {\"id\": .., \"prompt\": ..}.");
  require(line.contains("id"), Fault::bad_file, source, ": the key 'id' is missing; give every line its own.");
  const Json& id = line.at("id");
  require(id.is_string() || id.is_number_integer(), Fault::bad_file, source,
          ": 'id' is neither a string nor an integer.");
  return id.dump(-1, ' ', false, Json::error_handler_t::replace);
}

BatchItem read_item(const Json& line, const std::filesystem::path& folder, const std::string& source) {
  BatchItem item;
  require(line.contains("prompt"), Fault::bad_file, source, ": the key 'prompt' is missing; write the question there.");
  item.prompt = text_at(line, "prompt", source);
  require(!line.contains("image") || !line.contains("images"), Fault::bad_file, source,
          ": both 'image' and 'images' are given; keep one of them.");
  if (line.contains("image")) item.images.push_back(below(folder, text_at(line, "image", source)));
  if (line.contains("images")) {
    const Json& images = line.at("images");
    require(images.is_array(), Fault::bad_file, source, ": 'images' is no list; write [\"a.png\", \"b.png\"].");
    for (const Json& image : images) {
      require(image.is_string(), Fault::bad_file, source, ": 'images' holds something else than paths.");
      item.images.push_back(below(folder, image.get<std::string>()));
    }
  }
  if (line.contains("plan")) item.plan = text_at(line, "plan", source);
  if (line.contains("max_tokens")) {
    const Json& tokens = line.at("max_tokens");
    require(tokens.is_number_integer(), Fault::bad_file, source, ": 'max_tokens' is no integer.");
    item.max_tokens = tokens.get<int64_t>();
  }
  return item;
}

std::string key_of_line(int64_t number) {
  return concat("line ", number);  // no JSON text of an id looks like this
}

BatchOutput::BatchOutput(const std::filesystem::path& path) : path_(path) {
  descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0666);
  require(descriptor_ >= 0, Fault::bad_file, "The file '", path.string(), "' can't be written: ", std::strerror(errno),
          ".");
  try {
    require(flock(descriptor_, LOCK_EX | LOCK_NB) == 0, Fault::bad_file, "The file '", path.string(),
            "' is being written by another program; wait for it, or give another name.");
    find_last_newline();
    take_lines();
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

BatchOutput::~BatchOutput() {
  close(descriptor_);
}

void BatchOutput::find_last_newline() {
  off_t end = lseek(descriptor_, 0, SEEK_END);
  char block[4096];
  while (end > 0) {
    const auto count = static_cast<std::size_t>(std::min<off_t>(end, sizeof block));
    const off_t begin = end - static_cast<off_t>(count);
    require(pread(descriptor_, block, count, begin) == static_cast<ssize_t>(count), Fault::bad_file, "The file '",
            path_.string(), "' can't be read.");
    const void* const newline = memrchr(block, '\n', count);
    if (newline != nullptr) {
      end = begin + (static_cast<const char*>(newline) - block) + 1;
      break;
    }
    end = begin;
  }
  whole_bytes_ = end;
  // What is dropped must have been begun by write(): this may be a file of another kind.
  char head[8] = {};
  const ssize_t count = pread(descriptor_, head, sizeof head - 1, end);
  const std::string_view torn(head, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  const auto begins = [torn](std::string_view text) { return torn.starts_with(text.substr(0, torn.size())); };
  require(begins("{\"id\":") || begins("{\"line\""), Fault::bad_file, "The file '", path_.string(),
          "' does not end with a line of answers; give the output another name.");
}

void BatchOutput::take_lines() {
  LineReader reader(path_);
  for (std::string text; reader.bytes_read() < whole_bytes_ && reader.next(text);) {
    const std::string source = concat(path_.string(), ", line ", reader.number());
    bool ours = false;
    try {
      const Json line = parse_json(text, source);
      ours = line.is_object() && (line.contains("answer") || line.contains("error"));
      if (ours)
        keys_.insert(line.contains("id") ? id_of(line, source) : key_of_line(JsonView(line, source).integer("line")));
    } catch (const Error&) {
      ours = false;
    }
    require(ours, Fault::bad_file, source, ": this is no line of answers; give the output another name.");
  }
  require(ftruncate(descriptor_, whole_bytes_) == 0, Fault::bad_file, "The file '", path_.string(),
          "' can't be shortened to its last whole line: ", std::strerror(errno), ".");
}

void BatchOutput::write(const Json& line) {
  const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t count = ::write(descriptor_, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    require(count > 0, Fault::bad_file, "The file '", path_.string(), "' can't be written: ", std::strerror(errno),
            ".");
    done += static_cast<std::size_t>(count);
  }
}

}  // namespace lithe::cli
