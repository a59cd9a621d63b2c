#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "io/checkpoint.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "io/torch_file.h"

/// The parsers of `io` as fuzz targets: any bytes give a result or an Error, never anything else. The libFuzzer entry
/// points and the replay in tests/io/fuzz_test.cpp call these.
namespace lithe::io {

/// Reads every byte of every tensor, so that a sanitizer sees a view that leaves its memory.
inline unsigned touch(const std::map<std::string, TensorView>& tensors) {
  unsigned sum = 0;
  for (const auto& [name, tensor] : tensors) {
    for (const std::byte byte : tensor.bytes) sum += std::to_integer<unsigned>(byte);
    if (bytes_of(tensor.dtype, tensor.shape) != static_cast<int64_t>(tensor.bytes.size())) __builtin_trap();
  }
  return sum;
}

template <class Parse>
int run_target(const uint8_t* data, std::size_t size, Parse parse) {
  // A copy of just this size on the heap: a sanitizer knows its ends.
  const auto copy = std::make_shared<std::vector<uint8_t>>(data, data + size);
  try {
    parse(Bytes{std::as_bytes(std::span(*copy)), copy, "fuzz"});
  } catch (const Error&) {
    return 0;
  }
  return 1;
}

inline int fuzz_safetensors(const uint8_t* data, std::size_t size) {
  return run_target(data, size, [](const Bytes& bytes) { touch(parse_safetensors(bytes).tensors); });
}

inline int fuzz_torch(const uint8_t* data, std::size_t size) {
  return run_target(data, size, [](const Bytes& bytes) { touch(parse_torch(bytes)); });
}

inline int fuzz_gguf(const uint8_t* data, std::size_t size) {
  return run_target(data, size, [](const Bytes& bytes) {
    const GgufFile file = GgufFile::parse(bytes);
    unsigned sum = 0;
    for (const auto& [name, tensor] : file.tensors())
      for (const std::byte byte : tensor.bytes.span) sum += std::to_integer<unsigned>(byte);
    for (const char* const key : {"list.texts", "list.wholes", "list.reals", "text", "flag"}) {
      // A value may be of any kind; each way to read it must refuse the others.
      for (const int way : {0, 1, 2}) {
        try {
          sum += static_cast<unsigned>(way == 0   ? file.texts(key).size()
                                       : way == 1 ? file.integers(key).size()
                                                  : file.numbers(key).size());
        } catch (const Error&) {
          ++sum;
        }
      }
    }
    volatile unsigned read = sum;  // so that no reading is left out
    static_cast<void>(read);
  });
}

inline int fuzz_shard_index(const uint8_t* data, std::size_t size) {
  return run_target(data, size, [](const Bytes& bytes) { parse_shard_index(as_text(bytes.span), bytes.file); });
}

}  // namespace lithe::io
