#include <gtest/gtest.h>

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
  const std::vector<std::filesystem::path> files = lithe::test::corpus_files("tune");
  ASSERT_GE(files.size(), 6u);
  lithe::test::feed_mutations(files, 2026, kMutationsPerFile, kPieces, feed);
}

}  // namespace
