#include "io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace lithe::io {
namespace {

/// `.NAME.part-PID-N`: hidden, in the same folder (a rename across disks is a copy), unique per writer.
std::filesystem::path part_name(const std::filesystem::path& path) {
  static std::atomic<int> counter{0};
  const std::string name = concat(".", path.filename().string(), ".part-", ::getpid(), "-", counter++);
  return path.parent_path() / name;
}

[[noreturn]] void fail_to(const char* action, const std::filesystem::path& path) {
  fail(Fault::bad_file, path.string(), ": can't be ", action, ": ", std::strerror(errno));
}

}  // namespace

void make_folder(const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::create_directories(path, code);
  require(!code, Fault::bad_file, path.string(), ": the folder can't be created: ", code.message());
  require(std::filesystem::is_directory(path, code), Fault::bad_file, path.string(), ": is not a folder");
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)), part_(part_name(path_)) {
  require(path_.has_filename(), Fault::bad_file, path_.string(), ": is not the name of a file");
  std::error_code code;
  require(!std::filesystem::is_directory(path_, code), Fault::bad_file, path_.string(),
          ": is a folder, so no file can be written there");
  if (path_.has_parent_path()) make_folder(path_.parent_path());
  descriptor_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail_to("written", path_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(part_.c_str());
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write_at(end_, bytes);
  end_ += static_cast<int64_t>(bytes.size());
}

void AtomicFile::write_at(int64_t offset, std::span<const std::byte> bytes) {
  require(descriptor_ >= 0, Fault::internal, path_.string(), ": written to after its commit");
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail_to("written", path_);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += written;
  }
}

void AtomicFile::commit() {
  require(descriptor_ >= 0, Fault::internal, path_.string(), ": committed twice");
  if (::fsync(descriptor_) != 0) fail_to("flushed to disk", path_);
  if (::rename(part_.c_str(), path_.c_str()) != 0) fail_to("put in place", path_);
  ::close(descriptor_);
  descriptor_ = -1;
  // Makes the rename itself durable; a file system that cannot do so still has the whole file.
  const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  const int handle = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (handle < 0) return;
  ::fsync(handle);
  ::close(handle);
}

void write_text_atomic(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void write_json_atomic(const std::filesystem::path& path, const Json& json) {
  write_text_atomic(path, json.dump(2) + "\n");
}

}  // namespace lithe::io
