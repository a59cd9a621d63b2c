#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "base/json.h"

namespace lithe::io {

/// A file that appears whole or not at all: written beside its place as `.NAME.part-PID-N`, then renamed over it.
/// Every failure (no permission, disk full) throws Error{bad_file} with the path and the system's reason.
class AtomicFile {
 public:
  /// Creates the missing folders above `path` and an empty part file.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();  ///< Removes the part file unless commit() succeeded.
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view text);             ///< Appends.
  void write(std::span<const std::byte> bytes);  ///< Appends.
  void write_at(int64_t offset, std::span<const std::byte> bytes);
  void commit();  ///< Flushes to disk and renames. Once.

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::filesystem::path part_;
  int descriptor_ = -1;
  int64_t end_ = 0;  ///< Where write() appends.
};

/// Writes a whole file at once, atomically.
void write_text_atomic(const std::filesystem::path& path, std::string_view text);

/// Writes JSON with an indent of two, atomically.
void write_json_atomic(const std::filesystem::path& path, const Json& json);

/// Creates a folder and those above it; a folder that is there is fine. Throws Error{bad_file}.
void make_folder(const std::filesystem::path& path);

}  // namespace lithe::io
