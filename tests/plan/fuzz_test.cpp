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

std::vector<std::filesystem::path> corpus() {
  std::vector<std::filesystem::path> files;
  for (const char* folder : {LITHE_SOURCE_DIR "/tests/fuzz/corpus/plan", LITHE_SOURCE_DIR "/plans"}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// What often matters in such a file.
const std::vector<std::string> kPieces{"-1",          "1e308",    "18446744073709551615",
                                       "null",        "[]",       "{}",
                                       "\"\"",        "4096",     "0",
                                       "\"all\"",     "\"text\"", "false",
                                       "\"layers\":", ",",        "\"attention\"",
                                       "0.5"};

TEST(PlanFuzz, OnlyErrorsEscape) {
  const auto files = corpus();
  ASSERT_GE(files.size(), 20u);
  lithe::test::feed_mutations(files, 2024, kMutationsPerFile, kPieces, feed);
}

}  // namespace
