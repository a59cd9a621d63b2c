#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "image/image.h"

namespace lithe::image::test {

inline const std::filesystem::path kData = std::filesystem::path(LITHE_TEST_DATA) / "image";
inline const std::filesystem::path kGolden = std::filesystem::path(LITHE_TEST_DATA) / "golden";

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot open " + path.string());
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

/// The pictures that tools/make_image_fixtures.py starts from.
inline Image noise(int64_t width, int64_t height, uint32_t seed = 1) {
  Image picture(width, height);
  for (uint8_t& value : picture.rgb) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<uint8_t>(seed >> 24);
  }
  return picture;
}

inline Image read_ppm(const std::filesystem::path& path) {
  std::istringstream in(read_text(path));
  std::string magic;
  int64_t width = 0, height = 0, most = 0;
  in >> magic >> width >> height >> most;
  in.get();
  Image picture(width, height);
  in.read(reinterpret_cast<char*>(picture.rgb.data()), static_cast<std::streamsize>(picture.rgb.size()));
  if (!in || magic != "P6") throw std::runtime_error("not a PPM: " + path.string());
  return picture;
}

/// "" when equal, else how two pictures differ.
inline std::string difference(const Image& got, const Image& expected) {
  std::ostringstream out;
  if (got.size() != expected.size()) {
    out << "size " << got.width << " x " << got.height << ", expected " << expected.width << " x " << expected.height;
    return out.str();
  }
  for (std::size_t i = 0; i < got.rgb.size(); ++i) {
    if (got.rgb[i] == expected.rgb[i]) continue;
    const auto pixel = static_cast<int64_t>(i / 3);
    out << "pixel (" << pixel % got.width << ", " << pixel / got.width << ") channel " << i % 3 << ": "
        << int{got.rgb[i]} << ", expected " << int{expected.rgb[i]};
    return out.str();
  }
  return "";
}

}  // namespace lithe::image::test
