#include "cli/history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "base/error.h"

namespace lithe::cli {
namespace {

constexpr std::size_t kMostLines = 1000;
constexpr std::size_t kMostLineBytes = std::size_t{16} << 10;
constexpr off_t kMostBytes = off_t{4} << 20;  // of the file: what lies in front is not read

/// A file descriptor, closed at the end.
class Descriptor {
 public:
  Descriptor(const std::filesystem::path& file, int flags) : number_(::open(file.c_str(), flags | O_CLOEXEC, 0600)) {}
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  bool open() const { return number_ >= 0; }
  int number() const { return number_; }

 private:
  int number_;
};

[[noreturn]] void fail_to(const char* action, const std::filesystem::path& file) {
  fail(Fault::bad_file, "The history of chats can't be ", action, " '", file.string(), "' (", std::strerror(errno),
       "); set XDG_STATE_HOME to another folder.");
}

void write_whole(const Descriptor& file, const std::string& text, const std::filesystem::path& path) {
  const ssize_t written = file.open() ? ::write(file.number(), text.data(), text.size()) : -1;
  if (written != static_cast<ssize_t>(text.size())) fail_to("written to", path);
}

/// The last bytes of a file.
std::string tail_of(const Descriptor& file, off_t size) {
  std::string text(static_cast<std::size_t>(std::min(size, kMostBytes)), '\0');
  const ssize_t got = ::pread(file.number(), text.data(), text.size(), size - static_cast<off_t>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return text;
}

}  // namespace

History::History(std::filesystem::path file) : file_(std::move(file)) {
  if (file_.empty()) return;
  const Descriptor in(file_, O_RDONLY | O_NONBLOCK);
  struct stat about = {};
  if (!in.open() || ::fstat(in.number(), &about) != 0) {
    if (errno == ENOENT) return;
    fail_to("read from", file_);
  }
  require(S_ISREG(about.st_mode), Fault::bad_file, "The history of chats '", file_.string(),
          "' is not a regular file; remove it, or set XDG_STATE_HOME to another folder.");
  std::istringstream text(tail_of(in, about.st_size));
  std::string line;
  if (about.st_size > kMostBytes) std::getline(text, line);  // a part of one
  while (std::getline(text, line)) {
    if (!line.empty() && line.size() <= kMostLineBytes) lines_.push_back(line);
  }
  if (lines_.size() <= kMostLines && about.st_size <= kMostBytes) return;
  if (lines_.size() > kMostLines) lines_.erase(lines_.begin(), lines_.end() - kMostLines);
  rewrite();
}

void History::add(const std::string& line) {
  if (line.empty() || line.size() > kMostLineBytes || line.find('\n') != std::string::npos) return;
  if (!lines_.empty() && lines_.back() == line) return;
  lines_.push_back(line);
  if (file_.empty()) return;
  std::error_code code;
  std::filesystem::create_directories(file_.parent_path(), code);
  const Descriptor out(file_, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK);
  if (out.open()) ::fchmod(out.number(), 0600);
  write_whole(out, line + "\n", file_);  // in one piece, so that chats side by side don't tear each other's lines
}

void History::rewrite() const {
  std::string part = file_.string() + ".XXXXXX", text;
  for (const std::string& line : lines_) text += line + "\n";
  const Descriptor out(::mkstemp(part.data()));  // 0600
  if (!out.open()) fail_to("written beside", file_);
  try {
    write_whole(out, text, file_);
    if (::fsync(out.number()) != 0 || ::rename(part.c_str(), file_.c_str()) != 0) fail_to("put in place at", file_);
  } catch (...) {
    ::unlink(part.c_str());
    throw;
  }
}

std::filesystem::path History::usual_file() {
  const char* const state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/') return std::filesystem::path(state) / "lithe/history";
  const char* const home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/') return {};
  return std::filesystem::path(home) / ".local/state/lithe/history";
}

}  // namespace lithe::cli
