#include "io/output_file.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "io/atomic_file.h"
#include "io/mapped_file.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kPermissions = 0777;
constexpr int kMostLinks = 40;  // as the system follows
constexpr int kInputDepth = 2;  // folders below a model's: its vision tower

[[noreturn]] void fail_to(const char* action, const fs::path& path) {
  const Fault fault = errno == ENAMETOOLONG ? Fault::bad_request : Fault::bad_file;
  fail(fault, path.string(), ": can't be ", action, ": ", std::strerror(errno));
}

std::optional<struct stat> status_of(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? std::optional(status) : std::nullopt;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// The nearest folder above `path` that is there; those between are created when the file is.
fs::path existing_folder_of(const fs::path& path) {
  fs::path folder = folder_of(path);
  while (!is_there(folder) && folder != folder_of(folder)) folder = folder_of(folder);
  return folder;
}

/// The file that the links of `path` lead to, whether it is there or not.
fs::path followed(fs::path path) {
  std::error_code code;
  for (int i = 0; i < kMostLinks && fs::is_symlink(path, code); ++i) {
    const fs::path next = fs::read_symlink(path, code);
    if (code) break;
    path = next.is_absolute() ? next : path.parent_path() / next;
  }
  return path;
}

/// The number in /dev/stdout, /dev/fd/N and so on: a file that this process has open, which must not be replaced.
std::optional<int> open_descriptor(const fs::path& path) {
  const std::string name = path.string();
  if (name == "/dev/stdout") return STDOUT_FILENO;
  if (name == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!name.starts_with(folder)) continue;
    int number = -1;
    const char* const end = name.data() + name.size();
    const auto read = std::from_chars(name.data() + folder.size(), end, number);
    if (read.ec == std::errc() && read.ptr == end && number >= 0) return number;
  }
  return std::nullopt;
}

int connect_to(const fs::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = path.string();
  if (name.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  std::memcpy(address.sun_path, name.c_str(), name.size());
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return descriptor;
  const int reason = errno;
  ::close(descriptor);
  errno = reason;
  return -1;
}

/// Throws unless `path` can be written, as far as that is known before it is. `status` is that of its target.
void check_place(const fs::path& path, const std::optional<struct stat>& status) {
  require(!path.empty(), Fault::bad_request, "The name of the output is empty; give the output a name.");
  const int reason = errno;
  require(path != "-", Fault::bad_request,
          "The output - would be a file of that name; write /dev/stdout for stdout, or ./- for the file.");
  if (!status && reason != ENOENT && reason != ENOTDIR) fail_to("written", path);
  require(status || path.has_filename(), Fault::bad_request, path.string(), ": is not the name of a file");
  if (!status) return;
  require(!S_ISDIR(status->st_mode), Fault::bad_file, path.string(), ": is a folder, so no file can be written there");
  if (S_ISREG(status->st_mode) && ::access(path.c_str(), W_OK) != 0) fail_to("written", path);
}

/// Two names of one file. A character device has no content that writing could destroy.
bool is_same(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && !S_ISCHR(a.st_mode);
}

/// The input, or the file in it, that is the output.
std::optional<fs::path> find_output(const struct stat& output, const fs::path& input, int depth) {
  const std::optional<struct stat> status = status_of(input);
  if (!status) return std::nullopt;
  if (!S_ISDIR(status->st_mode)) return is_same(output, *status) ? std::optional(input) : std::nullopt;
  if (depth == 0) return std::nullopt;
  std::error_code code;
  for (fs::directory_iterator entry(input, code), end; !code && entry != end; entry.increment(code)) {
    if (const auto found = find_output(output, entry->path(), depth - 1)) return found;
  }
  return std::nullopt;
}

}  // namespace

OutputFile::OutputFile(fs::path path) : path_(std::move(path)), target_(followed(path_)) {
  const bool is_open = open_descriptor(path_).has_value();
  const std::optional<struct stat> status = status_of(path_);
  if (!is_open) check_place(path_, status);
  through_ = is_open || (status && !S_ISREG(status->st_mode));
  if (through_) {
    open_through();
    return;
  }
  require(!status || !is_mapped(status->st_dev, status->st_ino), Fault::bad_request, path_.string(),
          ": is an input of this command, which it would overwrite; give the output another name");
  open_replacement();
  if (!status) return;
  // Those who may read the old file may read the new one. Only root may give a file away.
  [[maybe_unused]] const int given = ::fchown(descriptor_, status->st_uid, status->st_gid);
  ::fchmod(descriptor_, status->st_mode & kPermissions);
}

void OutputFile::open_through() {
  const std::optional<int> number = open_descriptor(path_);
  descriptor_ = number ? ::fcntl(*number, F_DUPFD_CLOEXEC, 0) : ::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor_ < 0 && errno == ENXIO) descriptor_ = connect_to(path_);
  if (descriptor_ < 0) fail_to("written", path_);
}

/// Without a name at first, so that nothing is left of it even when the process is killed; if the file system cannot do
/// that, under the name of a part file.
void OutputFile::open_replacement() {
  const fs::path folder = folder_of(target_);
  make_folder(folder);
  descriptor_ = ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  const bool can_be_named = descriptor_ >= 0 && ::access(concat("/proc/self/fd/", descriptor_).c_str(), F_OK) == 0;
  if (can_be_named) return;
  if (descriptor_ >= 0) ::close(descriptor_);
  name_part();
  descriptor_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_to("written", path_);
}

/// `.NAME.part-PID-N`: hidden, in the same folder (a rename across disks is a copy), unique per writer.
void OutputFile::name_part() {
  constexpr std::size_t kLongest = 100;  // of NAME, so that the whole is not too long if NAME is not
  static std::atomic<int> counter{0};
  const std::string name = target_.filename().string().substr(0, kLongest);
  part_ = folder_of(target_) / concat(".", name, ".part-", ::getpid(), "-", counter++);
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!part_.empty()) ::unlink(part_.c_str());
}

void OutputFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void OutputFile::write(std::span<const std::byte> bytes) {
  write_at(end_, bytes);
}

void OutputFile::write_at(int64_t offset, std::span<const std::byte> bytes) {
  require(descriptor_ >= 0, Fault::internal, path_.string(), ": written to after its commit");
  require(!through_ || offset == end_, Fault::internal, path_.string(), ": is not written in order");
  while (!bytes.empty()) {
    const ssize_t written = through_ ? ::write(descriptor_, bytes.data(), bytes.size())
                                     : ::pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EFAULT) {
      if (const auto file = mapped_file_at(bytes.data()))
        fail(Fault::bad_file, *file, ": the file became shorter while it was in use, or its disk failed");
    }
    if (written <= 0) fail_to("written", path_);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += written;
  }
  end_ = std::max(end_, offset);
}

void OutputFile::commit() {
  require(descriptor_ >= 0, Fault::internal, path_.string(), ": committed twice");
  if (!through_) {
    if (::fsync(descriptor_) != 0) fail_to("flushed to disk", path_);
    if (part_.empty()) {
      name_part();
      const std::string unnamed = concat("/proc/self/fd/", descriptor_);
      if (::linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, part_.c_str(), AT_SYMLINK_FOLLOW) != 0)
        fail_to("put in place", path_);
    }
    if (::rename(part_.c_str(), target_.c_str()) != 0) fail_to("put in place", path_);
    part_.clear();
  }
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail_to("written", path_);
  if (!through_) sync_folder(folder_of(target_));
}

void check_output(const fs::path& path, const std::vector<fs::path>& inputs) {
  if (open_descriptor(path)) return;
  const std::optional<struct stat> status = status_of(path);
  check_place(path, status);
  if (!status) {
    const fs::path folder = existing_folder_of(followed(path)) / "";  // with the slash, a file is not a folder
    if (::access(folder.c_str(), W_OK | X_OK) != 0) fail_to("written", path);
    return;
  }
  for (const fs::path& input : inputs) {
    const std::optional<fs::path> found = find_output(*status, input, kInputDepth);
    require(!found, Fault::bad_request, path.string(), ": is an input of this command",
            found && found->string() != path.string() ? concat(" (", found->string(), ")") : "",
            ", which it would overwrite; give the output another name");
  }
}

}  // namespace lithe::io
