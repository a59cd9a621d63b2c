#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fuzz/mutate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);

namespace {

constexpr int kMutationsPerFile = 60;

/// What often matters in such a file. Its first byte names the kind of file, and stays.
const std::vector<std::string> kPieces{"-1", "4294967295", "null", "[]",     "{}",    "\"\"",     "true", "{{",
                                       "}}", "{%",         "%}",   " ns.s ", "|join", "\x1A\x02", "\xFF"};

TEST(TextFuzz, OnlyErrorsEscape) {
  const std::vector<std::filesystem::path> files = lithe::test::corpus_files("text");
  ASSERT_GE(files.size(), 30u);
  const char* many = std::getenv("LITHE_FUZZ_MUTATIONS");
  std::mt19937 random(2024);
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::string original{std::istreambuf_iterator<char>(in), {}};
    for (int round = 0; round <= (many ? std::atoi(many) : kMutationsPerFile); ++round) {
      std::string text = original;
      for (int change = 0; change < round % 5; ++change) lithe::test::mutate(text, random, kPieces, 1);
      SCOPED_TRACE(file.string() + " round " + std::to_string(round));
      ASSERT_NO_THROW(LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
    }
  }
}

}  // namespace
