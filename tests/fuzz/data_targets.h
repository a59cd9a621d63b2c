#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/error.h"
#include "data/dialect.h"
#include "data/format.h"
#include "io/zip_archive.h"

/// The readers of `data` as fuzz targets: any bytes give a result or an Error, never anything else. The libFuzzer entry
/// points and the replay in tests/data_sets/fuzz_test.cpp call these.
namespace lithe::data {

inline constexpr int64_t kMostRows = 20;  // of a file, so that a round stays short

template <class Parse>
int run_target(const uint8_t* data, std::size_t size, Parse parse) {
  // A copy of just this size on the heap: a sanitizer knows its ends.
  const auto copy = std::make_shared<std::vector<uint8_t>>(data, data + size);
  try {
    parse(io::Bytes{std::as_bytes(std::span(*copy)), copy, "fuzz"});
  } catch (const Error&) {
    return 0;
  }
  return 1;
}

/// Opens a file of whichever format it begins as, and makes conversations of its rows.
inline int fuzz_rows(const uint8_t* data, std::size_t size) {
  return run_target(data, size, [](const io::Bytes& bytes) {
    const Dialect dialect("", {}, {});
    for (const Format& format : formats()) {
      if (!format.recognises(bytes.span)) continue;
      const auto rows = format.open(bytes, dialect.wanted());
      // An index as long as the set may be made; so no file may claim more records than it has bytes.
      if (rows->size() < 0 || rows->size() > static_cast<int64_t>(bytes.span.size())) __builtin_trap();
      for (int64_t i = 0; i < std::min(rows->size(), kMostRows); ++i) dialect.draft(rows->read(i));
      return;
    }
    fail(Fault::bad_file, "of no format");
  });
}

inline int fuzz_zip(const uint8_t* data, std::size_t size) {
  return run_target(data, size, [](const io::Bytes& bytes) {
    const io::ZipArchive zip(bytes);
    unsigned sum = 0;
    for (const auto& [name, entry] : zip.entries()) {
      for (const std::byte byte : zip.read(name).span) sum += std::to_integer<unsigned>(byte);
    }
    static_cast<void>(sum);
  });
}

}  // namespace lithe::data
