#include <algorithm>
#include <cmath>

#include "image/codecs.h"

namespace lithe::image {
namespace {

/// The digit after the first tiff:Orientation, an attribute or an element; 1 if there is none.
int orientation_in_xmp(std::string_view xmp) {
  constexpr std::string_view kName = "tiff:Orientation";
  for (std::size_t at = xmp.find(kName); at != std::string_view::npos; at = xmp.find(kName, at + 1)) {
    std::string_view rest = xmp.substr(at + kName.size());
    if (rest.starts_with("=\"")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with('>')) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
  }
  return 1;
}

}  // namespace

int orientation_of(const Metadata& metadata) {
  ExifOrientation exif;
  if (metadata.exif) exif = exif_orientation(*metadata.exif);
  if (!exif.readable) return 1;
  const double value = exif.present ? exif.value : orientation_in_xmp(metadata.xmp);
  const bool is_known = value >= 1 && value <= 8 && value == std::floor(value);  // false for NaN
  return is_known ? static_cast<int>(value) : 1;
}

Image turn_upright(Image picture, int orientation) {
  if (orientation < 2 || orientation > 8) return picture;
  const bool transposed = orientation >= 5;
  const bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image out(transposed ? picture.height : picture.width, transposed ? picture.width : picture.height);
  for (int64_t y = 0; y < out.height; ++y) {
    for (int64_t x = 0; x < out.width; ++x) {
      const int64_t u = transposed ? y : x, v = transposed ? x : y;
      const int64_t from_x = mirror_x ? picture.width - 1 - u : u, from_y = mirror_y ? picture.height - 1 - v : v;
      std::copy_n(picture.row(from_y) + from_x * 3, 3, out.row(y) + x * 3);
    }
  }
  return out;
}

}  // namespace lithe::image
