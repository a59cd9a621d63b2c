#pragma once

#include <map>
#include <string>

#include "io/bytes.h"

namespace lithe::io {

/// A zip file in memory, read through its central directory; zip64 too. Entries are stored or deflated.
class ZipArchive {
 public:
  struct Entry {
    bool deflated;
    uint32_t crc;
    int64_t packed;  ///< Bytes in the archive.
    int64_t size;    ///< Bytes once unpacked.
    int64_t offset;  ///< Of the local header.
  };

  /// Whether the bytes begin as a zip file does.
  static bool recognises(std::span<const std::byte> bytes);

  /// Checks the whole directory: ranges, overlaps, names that lead out of a folder, and how much it would unpack to (at
  /// most 64 MiB + 64 x the archive). Throws Error{bad_file}.
  explicit ZipArchive(Bytes bytes);

  const std::map<std::string, Entry>& entries() const { return entries_; }
  const std::string& file() const { return bytes_.file; }

  /// A view if the entry is stored, a buffer if it is deflated. A deflated entry's checksum is checked; a stored
  /// one's is not, as that would read all of it. Throws Error{bad_file}.
  Bytes read(const std::string& name) const;

 private:
  struct Directory;
  Directory find_directory() const;
  void add_entry(std::span<const std::byte> record, std::span<const std::byte> name, std::span<const std::byte> extra);
  void check_entries(int64_t directory_begin) const;

  Bytes bytes_;
  std::map<std::string, Entry> entries_;
};

}  // namespace lithe::io
