#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>

#include "base/error.h"
#include "io/tensor_view.h"
#include "temporary_folder.h"

namespace lithe::io {

using test::TemporaryFolder;

inline const std::array<std::byte, 64> kPatternBytes = [] {
  std::array<std::byte, 64> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37 + 11);
  return bytes;
}();
inline const std::span<const std::byte> kPattern = kPatternBytes;

inline void expect_equal(const TensorView& a, const TensorView& b, const std::string& name) {
  EXPECT_EQ(name_of(a.dtype), std::string(name_of(b.dtype))) << name;
  EXPECT_EQ(a.shape, b.shape) << name;
  EXPECT_TRUE(std::ranges::equal(a.bytes, b.bytes)) << name;
}

inline void write_file(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Runs `action`, which must throw an Error, and returns its sentence.
template <class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

/// EXPECTs that `action` is refused with a sentence that holds `part`.
template <class Action>
void expect_refused(Action action, const std::string& part) {
  const std::string sentence = refusal(action);
  EXPECT_NE(sentence.find(part), std::string::npos) << "expected: ... " << part << " ...\ngot: " << sentence;
}

}  // namespace lithe::io
