#include "io/torch_output.h"

#include <zlib.h>

#include <limits>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"
#include "io/bytes.h"
#include "io/output_file.h"

namespace lithe::io {
namespace {

constexpr std::size_t kAlignment = 64;  // of storages in the file, so that PyTorch can map it

template <class T>
void append_number(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xff);
}

const char* storage_class(Dtype dtype, const std::string& name) {
  switch (dtype) {
    case Dtype::float64:
      return "DoubleStorage";
    case Dtype::float32:
      return "FloatStorage";
    case Dtype::float16:
      return "HalfStorage";
    case Dtype::bfloat16:
      return "BFloat16Storage";
    default:
      fail(Fault::internal, "write_torch: the tensor ", in_quotes(name), " is ", name_of(dtype), ", not a float");
  }
}

/// A pickle of protocol 2. The letters are pickle's opcodes.
class PickleWriter {
 public:
  PickleWriter() : out_("\x80\x02") {}

  PickleWriter& op(std::string_view code) {
    out_ += code;
    return *this;
  }
  PickleWriter& text(std::string_view text) {
    out_ += 'X';
    append_number(out_, static_cast<uint32_t>(text.size()));
    out_ += text;
    return *this;
  }
  /// A number of 64 bits, as Python writes its long ones.
  PickleWriter& integer(int64_t value) {
    if (value >= 0 && value <= std::numeric_limits<int32_t>::max()) {
      out_ += 'J';
      append_number(out_, static_cast<int32_t>(value));
    } else {
      out_ += "\x8a\x08";
      append_number(out_, value);
    }
    return *this;
  }
  PickleWriter& global(std::string_view module, std::string_view name) {
    out_ += concat("c", module, "\n", name, "\n");
    return *this;
  }
  PickleWriter& tuple(const std::vector<int64_t>& values) {
    op("(");
    for (const int64_t value : values) integer(value);
    return op("t");
  }
  std::string take() { return std::move(op(".").out_); }

 private:
  std::string out_;
};

std::vector<int64_t> strides_of(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

/// torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())
void add_tensor(PickleWriter& pickle, const std::string& name, const TensorView& tensor, const std::string& key) {
  pickle.text(name).global("torch._utils", "_rebuild_tensor_v2").op("(");
  pickle.op("(").text("storage").global("torch", storage_class(tensor.dtype, name)).text(key).text("cpu");
  pickle.integer(tensor.count()).op("tQ").integer(0).tuple(tensor.shape).tuple(strides_of(tensor.shape));
  pickle.op("\x89").global("collections", "OrderedDict").op(")RtR");
}

/// A zip file of entries that are stored as they are.
class ZipWriter {
 public:
  explicit ZipWriter(std::string folder) : folder_(std::move(folder)) {}

  void add(const std::string& name, std::span<const std::byte> bytes) {
    const std::string path = folder_ + "/" + name;
    const uLong crc = crc32_z(crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
    std::string common;  // what both headers hold from the version on
    append_number<uint16_t>(common, 20);
    append_number<uint16_t>(common, 0x800);     // names are UTF-8
    append_number<uint16_t>(common, 0);         // stored
    append_number<uint32_t>(common, 0x210000);  // 1980-01-01
    append_number<uint32_t>(common, static_cast<uint32_t>(crc));
    append_number<uint32_t>(common, static_cast<uint32_t>(bytes.size()));
    append_number<uint32_t>(common, static_cast<uint32_t>(bytes.size()));
    append_number<uint16_t>(common, static_cast<uint16_t>(path.size()));
    const std::size_t offset = out_.size(), header = 4 + common.size() + 2 + path.size();
    // PyTorch fills up with an extra field of the kind "FB".
    const std::size_t padding = (2 * kAlignment - (offset + header + 4) % kAlignment) % kAlignment;
    out_ += "PK\x03\x04" + common;
    append_number<uint16_t>(out_, static_cast<uint16_t>(4 + padding));
    out_ += path + "FB";
    append_number<uint16_t>(out_, static_cast<uint16_t>(padding));
    out_.append(padding, 'Z');
    out_ += as_text(bytes);
    directory_ += "PK\x01\x02";
    append_number<uint16_t>(directory_, 20);
    directory_ += common;
    directory_.append(12, '\0');  // no extra field, no comment, first disk, no attributes
    append_number<uint32_t>(directory_, static_cast<uint32_t>(offset));
    directory_ += path;
    ++entries_;
  }

  std::string take() {
    const auto start = static_cast<uint32_t>(out_.size());
    out_ += directory_ + std::string("PK\x05\x06\0\0\0\0", 8);
    append_number<uint16_t>(out_, entries_);
    append_number<uint16_t>(out_, entries_);
    append_number<uint32_t>(out_, static_cast<uint32_t>(directory_.size()));
    append_number<uint32_t>(out_, start);
    append_number<uint16_t>(out_, 0);
    return std::move(out_);
  }

 private:
  std::string folder_, out_, directory_;
  uint16_t entries_ = 0;
};

}  // namespace

void write_torch(const std::filesystem::path& path, const std::vector<std::pair<std::string, TensorView>>& tensors) {
  constexpr std::size_t kMost = std::size_t{2} << 30, kMostTensors = 60'000;
  std::size_t bytes = 0;
  PickleWriter pickle;
  pickle.op("}(").text("model").op("}(");
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    add_tensor(pickle, tensors[i].first, tensors[i].second, std::to_string(i));
    bytes += tensors[i].second.bytes.size();
  }
  require(bytes < kMost && tensors.size() < kMostTensors, Fault::bad_file, path.string(), ": ", tensors.size(),
          " tensors of ", bytes, " bytes are too much for a .pth file; they are in the .safetensors file");
  ZipWriter zip(path.stem().string());
  zip.add("data.pkl", as_bytes(pickle.op("uu").take()));
  zip.add("byteorder", as_bytes("little"));
  for (std::size_t i = 0; i < tensors.size(); ++i) zip.add("data/" + std::to_string(i), tensors[i].second.bytes);
  zip.add("version", as_bytes("3\n"));
  OutputFile file(path);
  file.write(zip.take());
  file.commit();
}

}  // namespace lithe::io
