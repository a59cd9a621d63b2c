#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "data/data_set.h"
#include "image/png.h"
#include "sentence_of.h"
#include "temporary_folder.h"

namespace lithe::data {

/// A folder for the files of one test.
class TemporaryFolder : public test::TemporaryFolder {
 public:
  /// Writes a file, and the folders above it, and gives its path.
  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories((path() / name).parent_path());
    std::ofstream(path() / name, std::ios::binary) << bytes;
    return path() / name;
  }
};

/// A PNG file of one colour, told by its width.
inline std::string png_of(int64_t width) {
  const auto bytes = image::encode_png(image::Image(width, 2, 90, 90, 90));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The bytes of a file.
inline std::string bytes_of(const std::filesystem::path& path) {
  std::ostringstream all;
  all << std::ifstream(path, std::ios::binary).rdbuf();
  return all.str();
}

using test::sentence_of;

/// "system: Be short.|user: What?|": the turns of a record.
inline std::string talk(const Record& record) {
  std::string text;
  for (const Turn& turn : record.turns) text += turn.role + ": " + turn.text + "|";
  return text;
}

/// The widths of a record's pictures, by which tests tell them apart.
inline std::vector<int64_t> widths(const Record& record) {
  std::vector<int64_t> all;
  for (const image::Source& source : record.images) all.push_back(source.header().size.width);
  return all;
}

}  // namespace lithe::data
