#include <algorithm>
#include <memory>

#include <webp/demux.h>
#include <zlib.h>

#include "image/codecs.h"

namespace lithe::image {
namespace {

constexpr std::size_t kMaxText = std::size_t{1} << 20;  // Pillow's MAX_TEXT_CHUNK.
constexpr std::size_t kMaxTexts = 64 * kMaxText;        // Of a file, Pillow's MAX_TEXT_MEMORY.
constexpr std::size_t kMostInflated = 1032;             // Bytes that deflate makes of one, at most.
constexpr std::string_view kXmpKeyword = "XML:com.adobe.xmp";

std::string_view text_of(const Encoded& file) {
  return {reinterpret_cast<const char*>(file.data()), file.size()};
}

std::size_t big_endian(std::string_view bytes) {
  std::size_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

/// Cuts off what stands before the first zero byte, and the zero; everything if there is none.
std::string_view take_word(std::string_view& rest) {
  const std::size_t end = rest.find('\0');
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return word;
}

/// What was deflated, as far as it is there; empty if it is damaged or longer than `most`.
std::string inflated(std::string_view bytes, std::size_t most) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return {};
  const std::unique_ptr<z_stream, int (*)(z_stream*)> owner(&stream, inflateEnd);
  std::string text(most, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  const int status = inflate(&stream, Z_SYNC_FLUSH);
  const bool whole = status == Z_STREAM_END || stream.avail_in == 0;
  if (!whole || (status != Z_STREAM_END && status != Z_OK && status != Z_BUF_ERROR)) return {};
  text.resize(text.size() - stream.avail_out);
  return text;
}

/// Bytes written as pairs of hexadecimal digits with white space between them; absent if it is anything else.
std::optional<std::string> from_hex(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\r\v\f";
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (kSpace.find(text[i]) != std::string_view::npos) continue;
    const int high = digit(text[i]), low = i + 1 < text.size() ? digit(text[i + 1]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(high << 4 | low));
    ++i;
  }
  return bytes;
}

/// The bytes of ImageMagick's raw profile: an empty line, the name, the length, then hexadecimal digits. A damaged one
/// gives a block that is not EXIF.
std::string from_raw_profile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    const std::size_t end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  std::string digits(text);
  std::erase(digits, '\n');  // A pair of digits may be cut by the end of a line.
  return from_hex(digits).value_or("damaged");
}

/// Collects what the chunks of a PNG say; a later chunk replaces an earlier one of its kind.
class PngMetadata {
 public:
  void take(std::string_view kind, std::string_view data) {
    if (kind == "eXIf") exif_ = data;
    if (kind == "tEXt") {
      const std::string_view keyword = take_word(data);
      if (keyword == "exif") exif_ = data;
      take_text(keyword, data);
    }
    if (kind == "zTXt") {
      const std::string_view keyword = take_word(data);
      if (is_wanted(keyword) && !data.empty() && data[0] == 0) take_text(keyword, unpacked(data.substr(1)));
    }
    if (kind == "iTXt") take_international(data);
  }

  Metadata result() const { return {exif_ ? exif_ : raw_profile_, xmp_}; }

 private:
  static bool is_wanted(std::string_view keyword) { return keyword == kXmpKeyword || keyword == kRawProfile; }

  /// inflated() within what a text and all texts of a file may take: many small chunks must not cost hours.
  std::string unpacked(std::string_view bytes) {
    const std::size_t most = std::min({kMaxText, bytes.size() * kMostInflated, texts_left_});
    texts_left_ -= most;
    return inflated(bytes, most);
  }

  void take_text(std::string_view keyword, std::string_view text) {
    if (keyword == kXmpKeyword) xmp_ = text;
    if (keyword == kRawProfile) raw_profile_ = from_raw_profile(text);
  }

  void take_international(std::string_view data) {
    const std::string_view keyword = take_word(data);
    if (!is_wanted(keyword) || data.size() < 2) return;
    const bool compressed = data[0] != 0, known = data[1] == 0;
    data.remove_prefix(2);
    if (std::count(data.begin(), data.end(), '\0') < 2 || (compressed && !known)) return;
    take_word(data);  // the language
    take_word(data);  // the keyword in that language
    take_text(keyword, compressed ? unpacked(data) : std::string(data));
  }

  static constexpr std::string_view kRawProfile = "Raw profile type exif";
  std::optional<std::string> exif_, raw_profile_;
  std::string xmp_;
  std::size_t texts_left_ = kMaxTexts;
};

bool stands_alone(uint8_t marker) {
  return marker == 0x01 || (marker >= 0xD0 && marker <= 0xD9) || marker >= 0xF0;
}

void take_segment(std::string_view segment, Metadata& metadata) {
  constexpr std::string_view kExif("Exif\0\0", 6), kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
  if (segment.starts_with(kExif)) {
    // Long EXIF goes on in the next such segment.
    if (metadata.exif)
      metadata.exif->append(segment.substr(kExif.size()));
    else
      metadata.exif = segment;
  } else if (segment.starts_with(kXmp)) {
    metadata.xmp = segment.substr(kXmp.size());
  }
}

std::string chunk_of(const WebPDemuxer* demuxer, const char* kind) {
  WebPChunkIterator chunk{};
  std::string bytes;
  if (WebPDemuxGetChunk(demuxer, kind, 1, &chunk))
    bytes.assign(reinterpret_cast<const char*>(chunk.chunk.bytes), chunk.chunk.size);
  WebPDemuxReleaseChunkIterator(&chunk);
  return bytes;
}

}  // namespace

Metadata metadata_of_jpeg(const Encoded& file) {
  const std::string_view text = text_of(file);
  Metadata metadata;
  for (std::size_t at = 2; at + 1 < text.size();) {
    const auto marker = static_cast<uint8_t>(text[at + 1]);
    if (text[at] != '\xff' || marker == 0xFF) {  // Fill bytes may stand before a marker.
      ++at;
      continue;
    }
    at += 2;
    if (marker == 0x00 || stands_alone(marker)) continue;
    if (marker == 0xDA) break;
    const std::size_t length = big_endian(text.substr(at, 2));
    if (length < 2 || text.size() - at < length) break;
    if (marker == 0xE1) take_segment(text.substr(at + 2, length - 2), metadata);
    at += length;
  }
  return metadata;
}

Metadata metadata_of_png(const Encoded& file) {
  const std::string_view text = text_of(file);
  PngMetadata metadata;
  bool animated = false, pixels_passed = false;
  for (std::size_t at = 8; at + 12 <= text.size();) {
    const std::size_t length = big_endian(text.substr(at, 4));
    const std::string_view kind = text.substr(at + 4, 4);
    if (length > text.size() - at - 12 || kind == "IEND") break;
    animated |= kind == "acTL";
    pixels_passed |= kind == "IDAT";
    if (animated && pixels_passed && kind == "fcTL") break;  // What follows belongs to later frames.
    metadata.take(kind, text.substr(at + 8, length));
    at += 12 + length;
  }
  return metadata.result();
}

Metadata metadata_of_webp(const Encoded& file) {
  const WebPData data{file.data(), file.size()};
  const std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)> demuxer(WebPDemux(&data), WebPDemuxDelete);
  if (!demuxer) return {};
  Metadata metadata{std::nullopt, chunk_of(demuxer.get(), "XMP ")};
  if (std::string exif = chunk_of(demuxer.get(), "EXIF"); !exif.empty()) metadata.exif = std::move(exif);
  return metadata;
}

}  // namespace lithe::image
