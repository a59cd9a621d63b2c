#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>

#include "image/codecs.h"

namespace lithe::image {
namespace {

constexpr uint32_t kOrientation = 0x0112;
constexpr std::string_view kPrefix("Exif\0\0", 6);

enum Type : uint32_t {
  kByte = 1,
  kAscii = 2,
  kShort = 3,
  kLong = 4,
  kRational = 5,
  kSignedByte = 6,
  kUndefined = 7,
  kSignedShort = 8,
  kSignedLong = 9,
  kSignedRational = 10,
  kFloat = 11,
  kDouble = 12,
  kDirectory = 13,
  kLong8 = 16,
};

/// Bytes of one value of a type; 0 for types that Pillow does not know.
uint64_t bytes_of(uint32_t type) {
  constexpr std::array<uint8_t, 17> kBytes = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8};
  return type < kBytes.size() ? kBytes[type] : 0;
}

class Tiff {
 public:
  Tiff(std::string_view bytes, bool big_endian) : bytes_(bytes), big_endian_(big_endian) {}

  /// `count` bytes at `at`; absent if the block ends before.
  std::optional<std::string_view> part(uint64_t at, uint64_t count) const {
    if (at > bytes_.size() || bytes_.size() - at < count) return std::nullopt;
    return bytes_.substr(at, count);
  }

  uint64_t number(std::string_view digits) const {
    uint64_t value = 0;
    for (std::size_t i = 0; i < digits.size(); ++i) {
      const std::size_t from = big_endian_ ? i : digits.size() - 1 - i;
      value = value << 8 | static_cast<uint8_t>(digits[from]);
    }
    return value;
  }

  std::size_t size() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
  bool big_endian_;
};

int64_t with_sign(uint64_t value, int bits) {
  return static_cast<int64_t>(value << (64 - bits)) >> (64 - bits);
}

double quotient(int64_t a, int64_t b) {
  return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b);
}

/// The first of a tag's values as a number; 0 if the type is bytes or text.
double first_value(const Tiff& tiff, uint32_t type, std::string_view data) {
  const uint64_t bits = tiff.number(data.substr(0, bytes_of(type)));
  switch (type) {
    case kShort:
    case kLong:
    case kDirectory:
    case kLong8:
      return static_cast<double>(bits);
    case kSignedByte:
      return static_cast<double>(with_sign(bits, 8));
    case kSignedShort:
      return static_cast<double>(with_sign(bits, 16));
    case kSignedLong:
      return static_cast<double>(with_sign(bits, 32));
    case kFloat:
      return std::bit_cast<float>(static_cast<uint32_t>(bits));
    case kDouble:
      return std::bit_cast<double>(bits);
    case kRational:
      return quotient(static_cast<int64_t>(tiff.number(data.substr(0, 4))),
                      static_cast<int64_t>(tiff.number(data.substr(4, 4))));
    case kSignedRational:
      return quotient(with_sign(tiff.number(data.substr(0, 4)), 32), with_sign(tiff.number(data.substr(4, 4)), 32));
    default:
      return 0;
  }
}

/// Walks the first directory as Pillow does: the first whole entry of the tag counts; an entry whose data lies outside
/// of the block ends the walk; one that would make all data larger than the block is passed over.
ExifOrientation find_in_directory(const Tiff& tiff, uint64_t directory) {
  const auto count = tiff.part(directory, 2);
  const uint64_t entries = count ? tiff.number(*count) : 0;
  uint64_t data_bytes = 0;
  for (uint64_t i = 0; i < entries; ++i) {
    const auto entry = tiff.part(directory + 2 + 12 * i, 12);
    if (!entry) break;
    const auto type = static_cast<uint32_t>(tiff.number(entry->substr(2, 2)));
    const uint64_t size = tiff.number(entry->substr(4, 4)) * bytes_of(type);
    if (size == 0) continue;
    std::string_view data = entry->substr(8, std::min<uint64_t>(size, 4));
    if (size > 4) {
      data_bytes += size;
      if (data_bytes > tiff.size()) continue;
      const auto elsewhere = tiff.part(tiff.number(entry->substr(8, 4)), size);
      if (!elsewhere) break;
      data = *elsewhere;
    }
    if (tiff.number(entry->substr(0, 2)) == kOrientation) return {true, true, first_value(tiff, type, data)};
  }
  return {};
}

}  // namespace

ExifOrientation exif_orientation(std::string_view exif) {
  for (int i = 0; i < 2 && exif.starts_with(kPrefix); ++i) exif.remove_prefix(kPrefix.size());
  if (exif.empty()) return {};
  // Some writers swap the second pair. Pillow takes MM\0+, which is BigTIFF, for an ordinary header too.
  const std::string_view magic = exif.substr(0, 4);
  const bool big_endian = magic == std::string_view("MM\0*", 4) || magic == std::string_view("MM*\0", 4) ||
                          magic == std::string_view("MM\0+", 4);
  const bool little_endian = magic == std::string_view("II*\0", 4) || magic == std::string_view("II\0*", 4);
  if (exif.size() < 8 || (!big_endian && !little_endian)) return {.readable = false};
  const Tiff tiff(exif, big_endian);
  return find_in_directory(tiff, tiff.number(exif.substr(4, 4)));
}

}  // namespace lithe::image
