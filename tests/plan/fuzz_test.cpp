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

constexpr int kMutationsPerFile = 400;

void feed(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

std::vector<std::filesystem::path> corpus() {
  std::vector<std::filesystem::path> files;
  for (const char* folder : {LITHE_SOURCE_DIR "/tests/fuzz/corpus/plan", LITHE_SOURCE_DIR "/plans"}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Overwrites, cuts, doubles or splices in something that often matters.
void mutate(std::string& text, std::mt19937& random) {
  static const std::vector<std::string> kPieces{"-1",          "1e308",    "18446744073709551615",
                                                "null",        "[]",       "{}",
                                                "\"\"",        "4096",     "0",
                                                "\"all\"",     "\"text\"", "false",
                                                "\"layers\":", ",",        "\"attention\"",
                                                "0.5"};
  const auto below = [&random](std::size_t n) { return n == 0 ? 0 : random() % n; };
  const std::size_t at = below(text.size());
  const std::size_t length = below(24);
  switch (below(4)) {
    case 0:
      if (!text.empty()) text[at] = static_cast<char>(below(256));
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

TEST(PlanFuzz, OnlyErrorsEscape) {
  const auto files = corpus();
  ASSERT_GE(files.size(), 20u);
  std::mt19937 random(2024);
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    ASSERT_NO_THROW(feed(text)) << file;
    for (int i = 0; i < kMutationsPerFile; ++i) {
      std::string mutated = text;
      for (uint32_t steps = 1 + random() % 4; steps > 0; --steps) mutate(mutated, random);
      ASSERT_NO_THROW(feed(mutated)) << mutated;
    }
  }
}

}  // namespace
