#pragma once

#include <filesystem>
#include <vector>

#include "base/json.h"
#include "golden/folders.h"
#include "image/image.h"

namespace lithe::golden {

/// The records of a benchmark case as a folder that `lithe eval` reads: JSON lines and pictures.
class BenchmarkSet {
 public:
  explicit BenchmarkSet(const Json& json);
  const std::filesystem::path& path() const { return temp_.path(); }

  /// The size of the picture that a case means by {"image": [width, height]}: it is made smaller.
  static image::Size size_of(const Json& picture);

 private:
  /// Writes the pictures in a value and puts their files' names in their place.
  void place_pictures(Json& value);
  void write_lines(const std::filesystem::path& file, const std::vector<Json>& lines) const;

  TempFolder temp_;
  int64_t pictures_ = 0;
};

}  // namespace lithe::golden
