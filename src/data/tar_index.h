#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lithe::data {

/// A regular file in a tar archive.
struct TarEntry {
  std::string name;
  std::size_t offset;  ///< Of its bytes.
  std::size_t size;
};

/// The regular files of a tar archive (ustar, GNU, pax) in their order; folders are passed over. `file` names the
/// archive in errors. Throws Error{bad_file}: damaged or cut off, links and devices, and names that lead out of their
/// folder.
std::vector<TarEntry> index_tar(std::span<const std::byte> archive, const std::string& file);

/// Whether the bytes begin with the header of a tar archive.
bool is_tar(std::span<const std::byte> file);

}  // namespace lithe::data
