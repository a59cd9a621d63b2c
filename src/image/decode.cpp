#include "image/decode.h"

#include <cstring>
#include <fstream>
#include <string_view>

#include "image/codecs.h"

namespace lithe::image {
namespace {

constexpr std::uintmax_t kMaxFileBytes = std::uintmax_t{256} << 20;

bool starts_with(const Encoded& file, std::string_view magic, std::size_t at = 0) {
  return file.size() >= at + magic.size() && std::memcmp(file.data() + at, magic.data(), magic.size()) == 0;
}

Image upright(Image picture, const Encoded& file, int (*orientation_of)(const Encoded&)) {
  return file.options.apply_orientation ? turn_upright(std::move(picture), orientation_of(file)) : picture;
}

}  // namespace

void Encoded::check_size(int64_t width, int64_t height) const {
  if (width <= 0 || height <= 0) refuse("the picture has no pixels (", width, " x ", height, ")");
  if (width > options.max_pixels / height) {
    refuse("a picture of ", width, " x ", height, " pixels is too large; at most ", options.max_pixels,
           " pixels are read; shrink it first");
  }
}

uint8_t over_white(uint8_t value, uint8_t alpha) {
  if (alpha == 0) return 255;
  const uint32_t sum = ((value * alpha + 255u * (255u - alpha)) << 7) + (0x80u << 7);
  return static_cast<uint8_t>((((sum >> 8) + sum) >> 8) >> 7);
}

Image flatten(std::vector<uint8_t> rgba, int64_t width, int64_t height, Alpha alpha) {
  const auto pixels = static_cast<std::size_t>(width * height);
  for (std::size_t i = 0; i < pixels; ++i) {  // In place: pixel i is written at 3 i, at or before where it is read.
    const uint8_t opacity = rgba[i * 4 + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const uint8_t value = rgba[i * 4 + c];
      rgba[i * 3 + c] = alpha == Alpha::on_white ? over_white(value, opacity) : value;
    }
  }
  rgba.resize(pixels * 3);
  Image picture;
  picture.width = width;
  picture.height = height;
  picture.rgb = std::move(rgba);
  return picture;
}

Image decode_image(std::span<const std::byte> bytes, const std::string& source, const DecodeOptions& options) {
  const Encoded file{bytes, source, options};
  if (starts_with(file, "\xff\xd8\xff")) return upright(decode_jpeg(file), file, orientation_of_jpeg);
  if (starts_with(file, "\x89PNG\r\n\x1a\n")) return upright(decode_png(file), file, orientation_of_png);
  if (starts_with(file, "RIFF") && starts_with(file, "WEBP", 8))
    return upright(decode_webp(file), file, orientation_of_webp);
  if (starts_with(file, "GIF87a") || starts_with(file, "GIF89a")) return decode_gif(file);
  if (starts_with(file, "BM")) return decode_bmp(file);
  file.refuse(bytes.empty() ? "the file is empty" : "not a picture of a known format",
              "; JPEG, PNG, WebP, GIF and BMP are read");
}

Image read_image(const std::filesystem::path& path, const DecodeOptions& options) {
  const std::string source = path.string();
  std::error_code code;
  const std::uintmax_t size = std::filesystem::file_size(path, code);
  require(!code, Fault::bad_file, source, ": the picture can't be read; is it there?");
  require(size <= kMaxFileBytes, Fault::bad_file, source, ": ", size, " bytes is too large for a picture; at most ",
          kMaxFileBytes, " are read");
  std::ifstream in(path, std::ios::binary);
  require(in.good(), Fault::bad_file, source, ": the picture can't be opened; check its permissions");
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  return decode_image(bytes, source, options);
}

}  // namespace lithe::image
