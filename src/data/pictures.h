#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "image/source.h"
#include "io/zip_archive.h"

namespace lithe::data {

/// Where the pictures of a data set lie. A picture is never looked for outside.
class Pictures {
 public:
  /// `place`: a folder or a zip file. Throws Error{bad_file} if it is neither.
  Pictures(std::filesystem::path place, image::DecodeOptions decode);

  /// The picture of a field (see PictureField): its bytes if the record holds them, else the file of its name. Throws
  /// Error{bad_file}.
  image::Source find(const Json& field) const;

 private:
  image::Source from_name(const std::string& name) const;
  image::Source from_bytes(std::vector<std::byte> bytes, const std::string& name) const;

  std::filesystem::path place_;
  image::DecodeOptions decode_;
  std::optional<io::ZipArchive> zip_;
};

}  // namespace lithe::data
