#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fuzz/mutate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);

namespace {

constexpr int kMutationsPerFile = 400;

void feed(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

/// What often matters in such a file.
const std::vector<std::string> kPieces{"-1",    "1e308",    "null", "[]",           "{}",   "\"\"",   "*a",
                                       "&a ",   "!!map ",   "---",  "? ",           ": ",   "\n  - ", "\n    ",
                                       "data:", "\n\teas:", "|\n",  "lora: true\n", "'",    "#",      ", ",
                                       "[",     "{",        "}",    "p_mod: {}\n",  "\xff", "%TAG"};

TEST(RecipeFuzz, OnlyErrorsEscape) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(LITHE_SOURCE_DIR "/tests/fuzz/corpus/tune"))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  ASSERT_GE(files.size(), 6u);
  std::mt19937 random(2026);
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    ASSERT_NO_THROW(feed(text)) << file;
    for (int i = 0; i < kMutationsPerFile; ++i) {
      std::string mutated = text;
      for (uint32_t steps = 1 + random() % 4; steps > 0; --steps) lithe::test::mutate(mutated, random, kPieces);
      ASSERT_NO_THROW(feed(mutated)) << mutated;
    }
  }
}

}  // namespace
