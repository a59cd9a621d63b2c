#include "image/decode.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <new>
#include <string_view>

#include "image/codecs.h"

namespace lithe::image {
namespace {

constexpr std::uintmax_t kMaxFileBytes = std::uintmax_t{256} << 20;

bool starts_with(const Encoded& file, std::string_view magic, std::size_t at = 0) {
  return file.size() >= at + magic.size() && std::memcmp(file.data() + at, magic.data(), magic.size()) == 0;
}

struct Codec {
  bool (*accepts)(const Encoded&);
  Measured (*measure)(const Encoded&);
  Image (*decode)(const Encoded&);
  Metadata (*metadata)(const Encoded&);  // null if the format has no orientation
};

constexpr Codec kCodecs[] = {
    {[](const Encoded& file) { return starts_with(file, "\xff\xd8\xff"); }, measure_jpeg, decode_jpeg,
     metadata_of_jpeg},
    {[](const Encoded& file) { return starts_with(file, "\x89PNG\r\n\x1a\n"); }, measure_png, decode_png,
     metadata_of_png},
    {[](const Encoded& file) { return starts_with(file, "RIFF") && starts_with(file, "WEBP", 8); }, measure_webp,
     decode_webp, metadata_of_webp},
    {[](const Encoded& file) { return starts_with(file, "GIF87a") || starts_with(file, "GIF89a"); }, measure_gif,
     decode_gif, nullptr},
    {[](const Encoded& file) { return starts_with(file, "BM"); }, measure_bmp, decode_bmp, nullptr},
};

const Codec& codec_of(const Encoded& file) {
  const auto codec = std::find_if(std::begin(kCodecs), std::end(kCodecs),
                                  [&file](const Codec& candidate) { return candidate.accepts(file); });
  if (codec != std::end(kCodecs)) return *codec;
  file.refuse(file.size() == 0 ? "the file is empty" : "not a picture of a known format",
              "; JPEG, PNG, WebP, GIF and BMP are read");
}

int orientation_in(const Encoded& file, const Codec& codec) {
  return file.options.apply_orientation && codec.metadata ? orientation_of(codec.metadata(file)) : 1;
}

}  // namespace

void Encoded::check_size(int64_t width, int64_t height, int64_t most) const {
  if (width <= 0 || height <= 0) refuse("the picture has no pixels (", width, " x ", height, ")");
  if (width > most / height) {
    refuse("a picture of ", width, " x ", height, " pixels is too large; at most ", most,
           " pixels are read; shrink it first");
  }
}

void Encoded::refuse_memory() const {
  fail(Fault::no_memory, source, ": there is too little memory to decode this picture; shrink it, or free memory");
}

Measured unscaled(int64_t width, int64_t height) {
  return {{width, height}, {width, height}, 1, width * height * kDecodingBytesPerPixel};
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
  return {width, height, std::move(rgba)};
}

Header read_header(std::span<const std::byte> bytes, const std::string& source, const DecodeOptions& options) {
  const Encoded file{bytes, source, options};
  const Codec& codec = codec_of(file);
  const Measured measured = codec.measure(file);
  Header header{measured.stored, measured.decoded, measured.scale, measured.decoding_bytes};
  if (orientation_in(file, codec) >= 5) std::swap(header.size.width, header.size.height);
  return header;
}

Image decode_image(std::span<const std::byte> bytes, const std::string& source, const DecodeOptions& options) {
  const Encoded file{bytes, source, options};
  try {
    const Codec& codec = codec_of(file);
    Image picture = codec.decode(file);
    return turn_upright(std::move(picture), orientation_in(file, codec));
  } catch (const std::bad_alloc&) {
    file.refuse_memory();
  }
}

std::vector<std::byte> read_image_bytes(const std::filesystem::path& path) {
  const std::string source = path.string();
  require(!source.empty(), Fault::bad_request, "the name of a picture is empty");
  std::error_code code;
  require(std::filesystem::exists(path, code), Fault::bad_file, source, ": the picture can't be read; is it there?");
  require(std::filesystem::is_regular_file(path, code), Fault::bad_file, source,
          ": is not a picture but a folder, a pipe or a device");
  const std::uintmax_t size = std::filesystem::file_size(path, code);
  require(!code, Fault::bad_file, source, ": the picture can't be read: ", code.message());
  require(size <= kMaxFileBytes, Fault::bad_file, source, ": ", size, " bytes is too large for a picture; at most ",
          kMaxFileBytes, " are read");
  std::ifstream in(path, std::ios::binary);
  require(in.good(), Fault::bad_file, source, ": the picture can't be opened; check its permissions");
  try {
    std::vector<std::byte> bytes(static_cast<std::size_t>(size));
    in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
    bytes.resize(static_cast<std::size_t>(in.gcount()));
    return bytes;
  } catch (const std::bad_alloc&) {
    fail(Fault::no_memory, source, ": there is too little memory to read this picture of ", size, " bytes");
  }
}

Image read_image(const std::filesystem::path& path, const DecodeOptions& options) {
  return decode_image(read_image_bytes(path), path.string(), options);
}

}  // namespace lithe::image
