#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
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
  lithe::test::feed_mutations(files, 2026, kMutationsPerFile, kPieces, feed);
}

}  // namespace
