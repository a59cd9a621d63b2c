#include "io/gguf.h"

#include <algorithm>
#include <array>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "io/gguf_kinds.h"
#include "io/mapped_file.h"

namespace lithe::io {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr const char* kArchitecture = "general.architecture";
constexpr uint64_t kMostKeys = 1 << 16, kMostTensors = 1 << 18;
constexpr uint64_t kLongestKey = 65535, kLongestTensorName = 4096;
constexpr uint32_t kMostDimensions = 4;
constexpr int64_t kMostAlignment = 1 << 20;

struct TypeRow {
  uint32_t type;
  GgufBlock block;
  const char* name;
};

constexpr std::array kTypes{
    TypeRow{0, {1, 4}, "F32"},         TypeRow{1, {1, 2}, "F16"},         TypeRow{2, {32, 18}, "Q4_0"},
    TypeRow{3, {32, 20}, "Q4_1"},      TypeRow{6, {32, 22}, "Q5_0"},      TypeRow{7, {32, 24}, "Q5_1"},
    TypeRow{8, {32, 34}, "Q8_0"},      TypeRow{9, {32, 40}, "Q8_1"},      TypeRow{10, {256, 84}, "Q2_K"},
    TypeRow{11, {256, 110}, "Q3_K"},   TypeRow{12, {256, 144}, "Q4_K"},   TypeRow{13, {256, 176}, "Q5_K"},
    TypeRow{14, {256, 210}, "Q6_K"},   TypeRow{15, {256, 292}, "Q8_K"},   TypeRow{16, {256, 66}, "IQ2_XXS"},
    TypeRow{17, {256, 74}, "IQ2_XS"},  TypeRow{18, {256, 98}, "IQ3_XXS"}, TypeRow{19, {256, 50}, "IQ1_S"},
    TypeRow{20, {32, 18}, "IQ4_NL"},   TypeRow{21, {256, 110}, "IQ3_S"},  TypeRow{22, {256, 82}, "IQ2_S"},
    TypeRow{23, {256, 136}, "IQ4_XS"}, TypeRow{24, {1, 1}, "I8"},         TypeRow{25, {1, 2}, "I16"},
    TypeRow{26, {1, 4}, "I32"},        TypeRow{27, {1, 8}, "I64"},        TypeRow{28, {1, 8}, "F64"},
    TypeRow{29, {256, 56}, "IQ1_M"},   TypeRow{30, {1, 2}, "BF16"},       TypeRow{34, {256, 54}, "TQ1_0"},
    TypeRow{35, {256, 66}, "TQ2_0"},   TypeRow{39, {32, 17}, "MXFP4"},    TypeRow{40, {64, 36}, "NVFP4"},
};

const TypeRow* row_of(uint32_t type) {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeRow& row) { return row.type == type; });
  return found == kTypes.end() ? nullptr : &*found;
}

}  // namespace

const char* name_of(GgufType type) {
  const TypeRow* const row = row_of(static_cast<uint32_t>(type));
  return row ? row->name : "unknown";
}

GgufBlock block_of(GgufType type) {
  const TypeRow* const row = row_of(static_cast<uint32_t>(type));
  require(row != nullptr, Fault::internal, "a tensor of GGUF has the type ", static_cast<uint32_t>(type));
  return row->block;
}

/// Walks over the file from its beginning.
class GgufParser {
 public:
  explicit GgufParser(const Bytes& bytes) {
    out_.file_ = bytes.file;
    out_.bytes_ = bytes;
    read_head();
  }

  /// Reads keys until one is `last`; all of them if it is none.
  void read_values(std::string_view last = {}) {
    for (uint64_t i = 0; i < keys_; ++i) {
      const std::string key(text("the key of a value", kLongestKey));
      where_ = concat("the value of ", in_quotes(key));
      const uint32_t type = number<uint32_t>(where_);
      const bool is_new = out_.values_.emplace(key, value(type)).second;
      require(is_new, Fault::bad_file, out_.file_, ": the key ", in_quotes(key), " stands twice");
      if (key == last) return;
    }
  }

  void read_tensors() {
    struct Place {
      GgufTensor* tensor;
      uint64_t offset;
      int64_t size;
      std::string where;
    };
    std::vector<Place> places;
    for (uint64_t i = 0; i < tensors_; ++i) {
      const std::string name(text("the name of a tensor", kLongestTensorName));
      where_ = concat("the tensor ", in_quotes(name));
      GgufTensor tensor;
      const int64_t size = read_shape(tensor);
      const auto offset = number<uint64_t>(where_);
      const auto [at, is_new] = out_.tensors_.emplace(name, std::move(tensor));
      require(is_new, Fault::bad_file, out_.file_, ": the tensor ", in_quotes(name), " stands twice");
      places.push_back({&at->second, offset, size, where_});
    }
    const int64_t step = alignment();
    const std::size_t begin =
        (at_ + static_cast<std::size_t>(step) - 1) / static_cast<std::size_t>(step) * static_cast<std::size_t>(step);
    const uint64_t data = begin <= whole().size() ? whole().size() - begin : 0;
    std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.offset < b.offset; });
    uint64_t end = 0;  // of the tensor before
    for (const Place& place : places) {
      require(place.offset % static_cast<uint64_t>(step) == 0, Fault::bad_file, out_.file_, ": ", place.where,
              " begins at byte ", place.offset, " of the data, which is not a multiple of ", step);
      require(place.offset >= end, Fault::bad_file, out_.file_, ": ", place.where, " begins at byte ", place.offset,
              " of the data, inside the tensor before it, which ends at ", end);
      const bool inside = place.offset <= data && static_cast<uint64_t>(place.size) <= data - place.offset;
      require(inside, Fault::bad_file, out_.file_, ": ", place.where, " takes ", place.size, " bytes from byte ",
              place.offset, " of the data, which has ", data, "; is the file cut off?");
      place.tensor->bytes = out_.bytes_.slice(begin + place.offset, static_cast<std::size_t>(place.size));
      end = place.offset + static_cast<uint64_t>(place.size);
    }
  }

  GgufFile take() { return std::move(out_); }

 private:
  std::span<const std::byte> whole() const { return out_.bytes_.span; }
  std::size_t left() const { return whole().size() - at_; }

  /// The next bytes.
  std::span<const std::byte> next(uint64_t size, const std::string& what) {
    require(size <= left(), Fault::bad_file, out_.file_, ": ends inside of ", what, "; is the file cut off?");
    const auto bytes = whole().subspan(at_, size);
    at_ += size;
    return bytes;
  }

  template <class T>
  T number(const std::string& what) {
    return little_endian<T>(next(sizeof(T), what), 0);
  }

  std::string_view text(const std::string& what, uint64_t longest) {
    const auto size = number<uint64_t>(what);
    require(size <= left(), Fault::bad_file, out_.file_, ": ", what, " claims ", size, " bytes, the file has ", left(),
            " more; is it damaged or cut off?");
    require(size <= longest, Fault::bad_file, out_.file_, ": ", what, " has ", size, " bytes, the limit is ", longest);
    return as_text(next(size, what));
  }

  void read_head() {
    const std::string what = "its first numbers";
    require(as_text(whole()).starts_with(kMagic), Fault::bad_file, out_.file_, ": is not a GGUF file");
    at_ = kMagic.size();
    const auto version = number<uint32_t>(what);
    require((version & 0xffff) != 0, Fault::bad_file, out_.file_,
            ": is a GGUF file for big-endian machines; convert the model again without --bigendian");
    require(version == 2 || version == 3, Fault::bad_file, out_.file_, ": is a GGUF file of version ", version,
            ", and 2 and 3 are read; convert the model again with a current llama.cpp");
    tensors_ = number<uint64_t>(what);
    keys_ = number<uint64_t>(what);
    require(keys_ <= kMostKeys, Fault::bad_file, out_.file_, ": claims ", keys_, " keys, the limit is ", kMostKeys,
            "; is the file damaged?");
    require(tensors_ <= kMostTensors, Fault::bad_file, out_.file_, ": claims ", tensors_, " tensors, the limit is ",
            kMostTensors, "; is the file damaged?");
  }

  GgufFile::Value value(uint32_t type) {
    if (static_cast<GgufKind>(type) == GgufKind::text) return text(where_, UINT64_MAX);
    if (static_cast<GgufKind>(type) == GgufKind::array) return array();
    const std::size_t size = bytes_of_kind(type);
    require(size > 0, Fault::bad_file, out_.file_, ": ", where_, " has the type ", type, ", which is not known");
    const auto bytes = next(size, where_);
    if (static_cast<GgufKind>(type) == GgufKind::boolean) return bytes[0] != std::byte{0};
    if (is_whole(type)) return whole_at(bytes, 0, type);
    return number_at(bytes, 0, type);
  }

  GgufArray array() {
    GgufArray found;
    found.type = number<uint32_t>(where_);
    found.count = number<uint64_t>(where_);
    const std::size_t size = bytes_of_kind(found.type);
    if (size > 0) {
      require(found.count <= left() / size, Fault::bad_file, out_.file_, ": ", where_, " claims ", found.count,
              " elements, the file has ", left(), " more bytes; is it damaged or cut off?");
      found.bytes = next(found.count * size, where_);
      return found;
    }
    require(static_cast<GgufKind>(found.type) == GgufKind::text, Fault::bad_file, out_.file_, ": ", where_,
            " is an array of elements of the type ", found.type, ", which is not supported");
    const std::size_t begin = at_;
    for (uint64_t i = 0; i < found.count; ++i) text(where_, UINT64_MAX);
    found.bytes = whole().subspan(begin, at_ - begin);
    return found;
  }

  /// Dimensions and type.  -> bytes
  int64_t read_shape(GgufTensor& tensor) {
    const auto dimensions = number<uint32_t>(where_);
    require(dimensions <= kMostDimensions, Fault::bad_file, out_.file_, ": ", where_, " claims ", dimensions,
            " dimensions, the limit is ", kMostDimensions);
    int64_t count = 1;
    for (uint32_t i = 0; i < dimensions; ++i) {
      const auto size = number<uint64_t>(where_);
      require(size > 0, Fault::bad_file, out_.file_, ": ", where_, " has a dimension of 0");
      const bool fits = size <= INT64_MAX && multiply(count, static_cast<int64_t>(size), count);
      require(fits, Fault::bad_file, out_.file_, ": ", where_, " has more numbers than any file can hold");
      tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
    }
    const auto type = number<uint32_t>(where_);
    const TypeRow* const row = row_of(type);
    require(row != nullptr, Fault::bad_file, out_.file_, ": ", where_, " has the type ", type,
            ", which is not known; quantise the model again to Q4_K_M or Q8_0");
    tensor.type = static_cast<GgufType>(type);
    const int64_t width = tensor.shape.empty() ? 1 : tensor.shape.back();
    require(width % row->block.numbers == 0, Fault::bad_file, out_.file_, ": ", where_, " is ", width,
            " wide, which blocks of ", row->name, " with ", row->block.numbers, " numbers do not divide");
    int64_t bytes = 0;
    require(multiply(count / row->block.numbers, row->block.bytes, bytes), Fault::bad_file, out_.file_, ": ", where_,
            " has more numbers than any file can hold");
    return bytes;
  }

  int64_t alignment() const {
    constexpr int64_t kDefault = 32;
    const int64_t step = out_.integer("general.alignment", kDefault);
    require(step >= 8 && step <= kMostAlignment && step % 8 == 0, Fault::bad_file, out_.file_,
            ": 'general.alignment' is ", step, ", it must be a multiple of 8 up to ", kMostAlignment);
    return step;
  }

  GgufFile out_;
  std::size_t at_ = 0;
  uint64_t tensors_ = 0, keys_ = 0;
  std::string where_;  ///< What is being read, for errors.
};

GgufFile GgufFile::parse(const Bytes& bytes) {
  GgufParser parser(bytes);
  parser.read_values();
  parser.read_tensors();
  return parser.take();
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  const Bytes bytes = map_file(path);
  refuse_lfs_pointer(as_text(bytes.span), path);
  return parse(bytes);
}

const GgufTensor* GgufFile::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::string gguf_architecture(const std::filesystem::path& path) {
  GgufParser parser(map_file(path));
  parser.read_values(kArchitecture);
  const GgufFile file = parser.take();
  return file.text(kArchitecture, "");
}

bool is_gguf(const std::filesystem::path& path) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(path, code)) return false;
  std::array<char, kMagic.size()> beginning{};
  std::ifstream(path, std::ios::binary).read(beginning.data(), beginning.size());
  return std::string_view(beginning.data(), beginning.size()) == kMagic;
}

}  // namespace lithe::io
