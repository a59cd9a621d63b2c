#include "io/appended_lines.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "io/atomic_file.h"

namespace lithe::io {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 16;

}  // namespace

AppendedLines::AppendedLines(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code absent;
  const auto type = std::filesystem::status(path_, absent).type();
  const bool is_new = type == std::filesystem::file_type::not_found;
  const bool is_regular = is_new || type == std::filesystem::file_type::regular;
  if (is_new && path_.has_parent_path()) make_folder(path_.parent_path());
  // A pipe opened for reading too would never say that its reader has left.
  descriptor_ = open(path_.c_str(), (is_regular ? O_RDWR | O_CREAT : O_WRONLY) | O_CLOEXEC | O_APPEND, 0666);
  require(descriptor_ >= 0, Fault::bad_file, "The file ", in_quotes(path_.string()), " can't be written (",
          std::strerror(errno), "); give another name.");
  try {
    lock();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

void AppendedLines::lock() {
  struct stat about = {}, now = {};
  if (fstat(descriptor_, &about) != 0 || !S_ISREG(about.st_mode)) return;
  // The other program may have put a new file in place at its end.
  require(flock(descriptor_, LOCK_EX | LOCK_NB) == 0 && stat(path_.c_str(), &now) == 0 && now.st_ino == about.st_ino,
          Fault::bad_file, "The file ", in_quotes(path_.string()),
          " is being written by another program; wait for it, or give another name.");
  is_file_ = true;
}

AppendedLines::~AppendedLines() {
  ::close(descriptor_);
}

void AppendedLines::read(std::size_t most_bytes, const char* what, const Take& take, const Take& torn) const {
  std::string text(kBlock, '\0'), line;
  int64_t begin = 0, number = 0;
  for (ssize_t count = 0; (count = pread(descriptor_, text.data(), text.size(), begin + int64_t(line.size()))) != 0;) {
    require(count > 0 || errno == EINTR, Fault::bad_file, "The file ", in_quotes(path_.string()), " can't be read (",
            std::strerror(errno), ").");
    std::size_t done = 0, end = line.size();
    line.append(text, 0, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    for (; (end = line.find('\n', end)) != std::string::npos; done = ++end)
      take({std::string_view(line).substr(done, end - done), begin + static_cast<int64_t>(done), ++number});
    line.erase(0, done);
    begin += static_cast<int64_t>(done);
    require(line.size() <= most_bytes, Fault::bad_file, "The file ", in_quotes(path_.string()), " is not ", what,
            "; give another name.");
  }
  if (!line.empty()) torn({line, begin, number + 1});
}

void AppendedLines::append(std::string_view lines) {
  while (!lines.empty()) {
    const ssize_t count = ::write(descriptor_, lines.data(), lines.size());
    if (count < 0 && errno == EINTR) continue;
    require(count > 0, Fault::bad_file, "The file ", in_quotes(path_.string()), " can't be written (",
            std::strerror(errno), "); make room and start the same command again.");
    lines.remove_prefix(static_cast<std::size_t>(count));
  }
}

void AppendedLines::shorten(int64_t bytes) {
  require(ftruncate(descriptor_, bytes) == 0, Fault::bad_file, "The file ", in_quotes(path_.string()),
          " can't be shortened to its last whole line (", std::strerror(errno), ").");
}

int64_t AppendedLines::size() const {
  return lseek(descriptor_, 0, SEEK_END);
}

void AppendedLines::copy(int64_t begin, int64_t end, OutputFile& to) const {
  std::string block(kBlock, '\0');
  while (begin < end) {
    const auto most = static_cast<std::size_t>(std::min<int64_t>(end - begin, int64_t(block.size())));
    const ssize_t count = pread(descriptor_, block.data(), most, begin);
    require(count > 0, Fault::bad_file, "The file ", in_quotes(path_.string()),
            " can't be read again; old errors stay.");
    to.write(std::string_view(block).substr(0, static_cast<std::size_t>(count)));
    begin += count;
  }
}

}  // namespace lithe::io
