#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace lithe {

RegularFile::RegularFile(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a named pipe must not wait for its other end.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail(Fault::bad_file, path.string(), ": can't be opened: ", std::strerror(errno));
  const bool known = ::fstat(descriptor_, &status_) == 0;
  if (known && S_ISREG(status_.st_mode)) return;
  ::close(descriptor_);
  fail(Fault::bad_file, path.string(), known ? ": is not a regular file" : ": can't be read");
}

RegularFile::~RegularFile() {
  ::close(descriptor_);
}

bool is_there(const std::filesystem::path& path) {
  std::error_code code;
  return std::filesystem::exists(path, code);
}

void refuse_lfs_pointer(std::string_view bytes, const std::filesystem::path& path) {
  require(!bytes.starts_with(kLfsPointer), Fault::bad_file, path.string(),
          ": is a Git LFS pointer, not the file itself; run `git lfs pull` in its folder");
}

std::string read_regular_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const RegularFile file(path);
  require(file.size() <= max_bytes, Fault::bad_file, path.string(), ": ", file.size(),
          " bytes is too large for a file of its kind, the limit is ", max_bytes);
  std::string bytes(file.size(), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::read(file.descriptor(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(Fault::bad_file, path.string(), ": can't be read: ", std::strerror(errno));
    if (count == 0) break;  // it became shorter meanwhile
    done += static_cast<std::size_t>(count);
  }
  bytes.resize(done);
  refuse_lfs_pointer(bytes, path);
  return bytes;
}

}  // namespace lithe
