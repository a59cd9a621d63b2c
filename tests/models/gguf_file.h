#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/gguf.h"

namespace lithe::test {

/// A GGUF file in the making, in memory.
class GgufBytes {
 public:
  GgufBytes& text(const std::string& key, const std::string& value) { return entry(key, 8, sized(value)); }
  GgufBytes& whole(const std::string& key, uint32_t value) { return entry(key, 4, number(value)); }
  GgufBytes& real(const std::string& key, float value) { return entry(key, 6, number(std::bit_cast<uint32_t>(value))); }
  GgufBytes& flag(const std::string& key, bool value) { return entry(key, 7, std::string(1, value ? '\1' : '\0')); }

  /// float32; `shape` is row-major.
  GgufBytes& tensor(const std::string& name, const std::vector<uint64_t>& shape, const std::vector<float>& values) {
    infos_ += sized(name) + number(static_cast<uint32_t>(shape.size()));
    for (auto size = shape.rbegin(); size != shape.rend(); ++size) infos_ += number(*size);
    infos_ += number(uint32_t{0}) + number(static_cast<uint64_t>(data_.size()));
    for (const float value : values) data_ += number(std::bit_cast<uint32_t>(value));
    data_.resize((data_.size() + kAlignment - 1) / kAlignment * kAlignment);
    ++tensors_;
    return *this;
  }

  io::GgufFile file() const {
    std::string bytes = "GGUF" + number(uint32_t{3}) + number(tensors_) + number(keys_) + values_ + infos_;
    bytes.resize((bytes.size() + kAlignment - 1) / kAlignment * kAlignment);
    const auto whole = std::make_shared<const std::string>(bytes + data_);
    return io::GgufFile::parse({io::as_bytes(*whole), whole, "model.gguf"});
  }

 private:
  static constexpr std::size_t kAlignment = 32;

  template <class T>
  static std::string number(T value) {
    std::string bytes;
    for (std::size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
    return bytes;
  }
  static std::string sized(const std::string& value) { return number(static_cast<uint64_t>(value.size())) + value; }

  GgufBytes& entry(const std::string& key, uint32_t kind, const std::string& value) {
    values_ += sized(key) + number(kind) + value;
    ++keys_;
    return *this;
  }

  uint64_t tensors_ = 0, keys_ = 0;
  std::string values_, infos_, data_;
};

}  // namespace lithe::test
