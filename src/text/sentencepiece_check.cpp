#include "text/sentencepiece_check.h"

#include <cstdint>
#include <cstring>
#include <optional>

#include "base/error.h"

namespace lithe::text {
namespace {

constexpr uint32_t kNormalizer = 3;    // ModelProto.normalizer_spec
constexpr uint32_t kDenormalizer = 5;  // ModelProto.denormalizer_spec
constexpr uint32_t kCharsMap = 2;      // NormalizerSpec.precompiled_charsmap

/// A reader of protocol buffers that knows no message: it walks fields and hands out those that hold bytes.
class Fields {
 public:
  Fields(std::string_view bytes, const std::string& source) : left_(bytes), source_(source) {}

  struct Field {
    uint32_t number;
    std::string_view bytes;  // empty for fields that hold numbers
  };

  std::optional<Field> next() {
    if (left_.empty()) return std::nullopt;
    const uint64_t key = varint();
    const auto number = static_cast<uint32_t>(key >> 3);
    switch (key & 7) {
      case 0:
        varint();
        return Field{number, {}};
      case 1:
        take(8);
        return Field{number, {}};
      case 2:
        return Field{number, take(varint())};
      case 5:
        take(4);
        return Field{number, {}};
      default:
        fail(Fault::bad_file, source_, ": not a sentencepiece model, or a damaged one");
    }
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    fail(Fault::bad_file, source_, ": not a sentencepiece model, or a damaged one");
  }

  std::string_view take(uint64_t size) {
    require(size <= left_.size(), Fault::bad_file, source_, ": the sentencepiece model is cut off");
    const std::string_view bytes = left_.substr(0, size);
    left_.remove_prefix(size);
    return bytes;
  }

  std::string_view left_;
  const std::string& source_;
};

// Layout: size of the trie in bytes (little endian), the trie (a double array of 32-bit units), texts that end with 0.
void check_chars_map(std::string_view map, const std::string& source) {
  if (map.empty()) return;
  uint32_t trie_bytes = 0;
  const bool sized = map.size() > sizeof trie_bytes;
  if (sized) std::memcpy(&trie_bytes, map.data(), sizeof trie_bytes);
  require(sized && trie_bytes % 1024 == 0 && trie_bytes >= 1024 && trie_bytes < map.size() - sizeof trie_bytes &&
              map.back() == '\0',
          Fault::bad_file, source, ": the normalisation rules of the sentencepiece model are damaged");
  const std::size_t units = trie_bytes / sizeof(uint32_t);
  const std::size_t text_bytes = map.size() - sizeof trie_bytes - trie_bytes;
  for (std::size_t i = 0; i < units; ++i) {
    uint32_t unit = 0;
    std::memcpy(&unit, map.data() + sizeof trie_bytes + i * sizeof unit, sizeof unit);
    const bool leaf = unit >> 31;
    const uint32_t offset = (unit >> 10) << ((unit & (1u << 9)) >> 6);
    // A step goes to i ^ offset ^ byte. A leaf's value is where its text starts.
    const bool inside = leaf ? (unit & 0x7FFFFFFFu) < text_bytes : ((i ^ offset) | 0xFF) < units;
    require(inside, Fault::bad_file, source, ": the normalisation rules of the sentencepiece model point outside it");
  }
}

void check_normalizer(std::string_view spec, const std::string& source) {
  Fields fields(spec, source);
  while (const auto field = fields.next()) {
    if (field->number == kCharsMap) check_chars_map(field->bytes, source);
  }
}

}  // namespace

void check_sentencepiece_model(std::string_view model, const std::string& source) {
  Fields fields(model, source);
  while (const auto field = fields.next()) {
    if (field->number == kNormalizer || field->number == kDenormalizer) check_normalizer(field->bytes, source);
  }
}

}  // namespace lithe::text
