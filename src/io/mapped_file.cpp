#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace lithe::io {
namespace {

/// A file descriptor that is closed on every way out.
struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

}  // namespace

Bytes map_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  // O_NONBLOCK: opening a named pipe must not wait for its other end.
  const Descriptor file{::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  require(file.number >= 0, Fault::bad_file, name, ": can't be opened: ", std::strerror(errno));
  struct stat status {};
  require(::fstat(file.number, &status) == 0, Fault::bad_file, name, ": can't be read: ", std::strerror(errno));
  require(S_ISREG(status.st_mode), Fault::bad_file, name, ": is not a regular file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return {{}, nullptr, name};
  void* begin = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number, 0);
  require(begin != MAP_FAILED, Fault::bad_file, name, ": can't be mapped into memory: ", std::strerror(errno));
  const std::shared_ptr<const void> owner(begin,
                                          [size](const void* mapped) { ::munmap(const_cast<void*>(mapped), size); });
  return {{static_cast<const std::byte*>(begin), size}, owner, name};
}

void need_no_more([[maybe_unused]] std::span<const std::byte> bytes) {
#ifdef MADV_PAGEOUT  // Unlike MADV_DONTNEED it loses nothing where the bytes are no file's.
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t first = (begin + page - 1) / page * page, last = (begin + bytes.size()) / page * page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_PAGEOUT);
#endif
}

}  // namespace lithe::io
