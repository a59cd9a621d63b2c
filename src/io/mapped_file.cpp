#include "io/mapped_file.h"

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"

namespace lithe::io {
namespace {

/// What a signal handler must know of a mapping: everything in place, as it can neither lock nor allocate. Nodes are
/// never freed but used again, so that the list can be walked at any moment.
struct Mapping {
  std::atomic<std::uintptr_t> begin{0};  ///< 0: not in use.
  std::size_t size = 0;
  dev_t device = 0;
  ino_t inode = 0;
  std::string file;
  std::string sentence;
  Mapping* next = nullptr;
};

std::atomic<Mapping*> first_mapping{nullptr};
std::mutex changing;  // of those who map and unmap

/// How the program ends when a page is lost.
struct Ending {
  std::string prefix;
  int code = 1;
};
Ending& ending() {
  static auto* const kept = new Ending;  // never destroyed: pages may be touched while the program ends
  return *kept;
}

Mapping* find_mapping(std::uintptr_t address) {
  for (Mapping* mapping = first_mapping.load(std::memory_order_acquire); mapping; mapping = mapping->next) {
    const std::uintptr_t begin = mapping->begin.load(std::memory_order_acquire);
    if (begin != 0 && address >= begin && address - begin < mapping->size) return mapping;
  }
  return nullptr;
}

Mapping* unused_mapping() {
  for (Mapping* mapping = first_mapping.load(); mapping; mapping = mapping->next) {
    if (mapping->begin.load() == 0) return mapping;
  }
  auto* const made = new Mapping;
  made->next = first_mapping.load();
  first_mapping.store(made, std::memory_order_release);
  return made;
}

Mapping* note_mapping(std::uintptr_t begin, const RegularFile& file, const std::string& name) {
  const std::lock_guard lock(changing);
  Mapping* const mapping = unused_mapping();
  mapping->size = file.size();
  mapping->device = file.status().st_dev;
  mapping->inode = file.status().st_ino;
  mapping->file = name;
  mapping->sentence = concat(printable(name, kMostSentenceBytes / 2),
                             ": the file became shorter while it was in use, or its disk failed; restore the file, "
                             "then run the command again.\n");
  mapping->begin.store(begin, std::memory_order_release);
  return mapping;
}

void unmap(Mapping* mapping, const void* begin) {
  const std::lock_guard lock(changing);
  ::munmap(const_cast<void*>(begin), mapping->size);
  mapping->begin.store(0, std::memory_order_release);
}

/// Only calls that are safe in a signal handler.
void on_bus_error(int signal, siginfo_t* info, void*) {
  const bool by_memory = info->si_code > 0;  // else another process sent it
  const Mapping* const mapping = by_memory ? find_mapping(reinterpret_cast<std::uintptr_t>(info->si_addr)) : nullptr;
  if (mapping) {
    static std::atomic_flag said;
    while (said.test_and_set()) ::pause();  // another thread ends the program
    const std::string *const prefix = &ending().prefix, *const sentence = &mapping->sentence;
    const iovec parts[] = {{const_cast<char*>(prefix->data()), prefix->size()},
                           {const_cast<char*>(sentence->data()), sentence->size()}};
    [[maybe_unused]] const ssize_t written = ::writev(STDERR_FILENO, parts, 2);
    ::_exit(ending().code);
  }
  struct sigaction usual {};
  usual.sa_handler = SIG_DFL;
  ::sigaction(signal, &usual, nullptr);
  ::raise(signal);  // delivered when this handler returns
}

}  // namespace

Bytes map_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  const RegularFile file(path);
  if (file.size() == 0) return {{}, nullptr, name};
  void* begin = ::mmap(nullptr, file.size(), PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  require(begin != MAP_FAILED, Fault::bad_file, name, ": can't be mapped into memory: ", std::strerror(errno));
  Mapping* const mapping = note_mapping(reinterpret_cast<std::uintptr_t>(begin), file, name);
  const std::shared_ptr<const void> owner(begin, [mapping](const void* mapped) { unmap(mapping, mapped); });
  return {{static_cast<const std::byte*>(begin), file.size()}, owner, name};
}

std::optional<std::string> mapped_file_at(const void* address) {
  const std::lock_guard lock(changing);
  const Mapping* const mapping = find_mapping(reinterpret_cast<std::uintptr_t>(address));
  return mapping ? std::optional(mapping->file) : std::nullopt;
}

bool is_mapped(dev_t device, ino_t inode) {
  const std::lock_guard lock(changing);
  for (const Mapping* mapping = first_mapping.load(); mapping; mapping = mapping->next) {
    if (mapping->begin.load() != 0 && mapping->device == device && mapping->inode == inode) return true;
  }
  return false;
}

void exit_on_lost_pages(const std::string& prefix, int exit_code) {
  ending() = {prefix, exit_code};
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigaction(SIGBUS, &action, nullptr);
}

void need_no_more([[maybe_unused]] std::span<const std::byte> bytes) {
#ifdef MADV_PAGEOUT  // Unlike MADV_DONTNEED it loses nothing if the bytes are not a file's.
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t first = (begin + page - 1) / page * page, last = (begin + bytes.size()) / page * page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_PAGEOUT);
#endif
}

}  // namespace lithe::io
