#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace lithe {

/// A regular file, open for reading until this goes.
class RegularFile {
 public:
  /// Devices, pipes and folders are refused: they may have no end, or wait for ever. Throws Error{bad_file}.
  explicit RegularFile(const std::filesystem::path& path);
  ~RegularFile();
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;

  int descriptor() const { return descriptor_; }
  const struct stat& status() const { return status_; }
  std::size_t size() const { return static_cast<std::size_t>(status_.st_size); }

 private:
  int descriptor_ = -1;
  struct stat status_ {};
};

/// Whether something is at `path`. Never throws: false also for a path that is too long or that can't be looked at.
bool is_there(const std::filesystem::path& path);

/// How the small text begins that a clone made without git-lfs holds in the place of a large file.
inline constexpr std::string_view kLfsPointer = "version https://git-lfs";

/// Throws Error{bad_file} if the file's bytes, or their beginning, are such a text.
void refuse_lfs_pointer(std::string_view bytes, const std::filesystem::path& path);

/// The bytes of a regular file of at most `max_bytes`. Throws Error{bad_file}, also for a Git LFS pointer.
std::string read_regular_file(const std::filesystem::path& path, std::size_t max_bytes);

}  // namespace lithe
