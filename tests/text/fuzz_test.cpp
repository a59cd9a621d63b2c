#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);

namespace {

constexpr int kMutationsPerFile = 60;

/// Overwrites, cuts, doubles or splices in something that often matters. The first byte names the kind of file.
void mutate(std::string& text, std::mt19937& random) {
  static const std::vector<std::string> kPieces{"-1", "4294967295", "null", "[]",     "{}",    "\"\"",     "true", "{{",
                                                "}}", "{%",         "%}",   " ns.s ", "|join", "\x1A\x02", "\xFF"};
  const auto below = [&random](std::size_t n) { return n == 0 ? 0 : random() % n; };
  const std::size_t at = 1 + below(text.size());
  if (at >= text.size()) return;
  const std::size_t length = below(24);
  switch (below(4)) {
    case 0:
      text[at] = static_cast<char>(below(256));
      break;
    case 1:
      text.erase(at, length);
      break;
    case 2:
      text.insert(at, text.substr(at, length));
      break;
    default:
      text.replace(at, std::min(length / 4, text.size() - at), kPieces[below(kPieces.size())]);
  }
}

TEST(TextFuzz, OnlyErrorsEscape) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(LITHE_SOURCE_DIR "/tests/fuzz/corpus/text")) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  ASSERT_GE(files.size(), 30u);
  const char* many = std::getenv("LITHE_FUZZ_MUTATIONS");
  std::mt19937 random(2024);
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::string original{std::istreambuf_iterator<char>(in), {}};
    for (int round = 0; round <= (many ? std::atoi(many) : kMutationsPerFile); ++round) {
      std::string text = original;
      for (int change = 0; change < round % 5; ++change) mutate(text, random);
      SCOPED_TRACE(file.string() + " round " + std::to_string(round));
      ASSERT_NO_THROW(LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
    }
  }
}

}  // namespace
