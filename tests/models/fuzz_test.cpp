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

constexpr int kMutationsPerFile = 300;

/// What often matters in such a file.
const std::vector<std::string> kPieces{
    "-1", "1e308", "18446744073709551615", "null", "[]", "{}", "\"\"", "\"\\\\", "true", "0", ",", "\"q_proj\":"};

TEST(LoraConfigFuzz, OnlyErrorsEscape) {
  std::vector<std::filesystem::path> files{LITHE_TEST_DATA "/lora/hf/adapter_config.json",
                                           LITHE_TEST_DATA "/lora/original/adapter_config.json"};
  const std::vector<std::filesystem::path> corpus = lithe::test::corpus_files("checkpoints_lora_config");
  files.insert(files.end(), corpus.begin(), corpus.end());
  std::sort(files.begin(), files.end());
  ASSERT_GE(files.size(), 10u);
  std::mt19937 random(2026);
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::string original{std::istreambuf_iterator<char>(in), {}};
    for (int round = 0; round <= kMutationsPerFile; ++round) {
      std::string text = original;
      for (int change = 0; change < round % 5; ++change) lithe::test::mutate(text, random, kPieces);
      SCOPED_TRACE(file.string() + " round " + std::to_string(round));
      ASSERT_NO_THROW(LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
    }
  }
}

}  // namespace
