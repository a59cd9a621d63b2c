#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "image/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);

namespace lithe::image {
namespace {

constexpr int kMutationsPerFile = 40;

void feed(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

std::vector<std::filesystem::path> corpus() {
  std::vector<std::filesystem::path> files;
  for (const auto& folder :
       {std::filesystem::path(LITHE_SOURCE_DIR) / "tests/fuzz/corpus/image", test::kData / "decode"}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() != ".ppm") files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Overwrites a byte or a length field, cuts, doubles or removes a piece; headers more often than the rest.
void mutate(std::string& bytes, std::mt19937& random) {
  const auto below = [&random](std::size_t n) { return n == 0 ? 0 : random() % n; };
  const std::size_t at = below(below(2) == 0 ? std::min<std::size_t>(bytes.size(), 64) : bytes.size());
  const std::size_t length = below(16);
  switch (below(6)) {
    case 0:
    case 1:
      if (!bytes.empty()) bytes[at] = static_cast<char>(below(256));
      break;
    case 2:
      if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
      break;
    case 3:
      bytes.erase(at, length);
      break;
    case 4:
      bytes.insert(at, bytes.substr(below(bytes.size()), length));
      break;
    default:
      for (std::size_t i = at; i < std::min(bytes.size(), at + 1 + length / 4); ++i)
        bytes[i] = below(2) == 0 ? '\xff' : '\0';
  }
}

TEST(ImageFuzz, OnlyErrorsEscapeFromTheCorpus) {
  ASSERT_GE(corpus().size(), 80u);
  for (const auto& path : corpus()) EXPECT_NO_THROW(feed(test::read_text(path))) << path;
}

TEST(ImageFuzz, OnlyErrorsEscapeFromMutations) {
  std::mt19937 random(2025);
  for (const auto& path : corpus()) {
    const std::string original = test::read_text(path);
    for (int i = 0; i < kMutationsPerFile; ++i) {
      std::string bytes = original;
      for (unsigned count = 1 + random() % 3; count > 0; --count) mutate(bytes, random);
      EXPECT_NO_THROW(feed(bytes)) << path << ", mutation " << i;
    }
  }
}

TEST(ImageFuzz, OnlyErrorsEscapeFromPrefixes) {
  for (const auto& path : corpus()) {
    const std::string bytes = test::read_text(path);
    for (std::size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 12)
      EXPECT_NO_THROW(feed(bytes.substr(0, size))) << path;
  }
}

}  // namespace
}  // namespace lithe::image
