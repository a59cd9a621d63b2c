#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace lithe::io {

/// A file that a user names as an output. A regular file appears whole or not at all: it is written beside its place,
/// then renamed over it; it keeps the permissions of the file that it replaces. Of a symbolic link the target is
/// replaced. What is not a regular file (a device, a pipe, a socket, /dev/stdout) is written as the bytes come.
/// Every failure (no permission, disk full) throws Error{bad_file} with the path and the system's reason.
class OutputFile {
 public:
  /// Creates the missing folders above `path`. Throws Error{bad_request} for a file that is mapped, as weights are.
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();  ///< Removes what was written beside the place unless commit() succeeded.
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::string_view text);             ///< Appends.
  void write(std::span<const std::byte> bytes);  ///< Appends.
  /// What is not a regular file takes bytes at its end only.
  void write_at(int64_t offset, std::span<const std::byte> bytes);
  void commit();  ///< Flushes to disk and renames. Once.

  const std::filesystem::path& path() const { return path_; }

 private:
  void open_replacement();
  void open_through();
  void name_part();

  std::filesystem::path path_;    ///< As the user names it.
  std::filesystem::path target_;  ///< Where its links lead.
  std::filesystem::path part_;    ///< Beside the target; empty while the file has no name.
  int descriptor_ = -1;
  bool through_ = false;  ///< Written as the bytes come.
  int64_t end_ = 0;       ///< Where write() appends.
};

/// Throws Error unless `path` can be an output: a name that is neither empty nor "-", not a folder, in a place where
/// files may be written, and none of the `inputs`, under whatever name; of an input that is a folder, none of the files
/// in it. For commands to call before any work.
void check_output(const std::filesystem::path& path, const std::vector<std::filesystem::path>& inputs);

}  // namespace lithe::io
