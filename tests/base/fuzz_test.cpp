#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "fuzz/mutate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);

namespace {

constexpr int kMutationsPerFile = 2000;

void feed(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

const std::vector<std::string> kPieces{"=", "==", "===", "-", "_", "+", "/", ",", ";base64,", "data:", "\n", "\xff"};

TEST(Base64Fuzz, TextStandsForItsBytes) {
  const std::vector<std::filesystem::path> files = lithe::test::corpus_files("base_base64");
  ASSERT_GE(files.size(), 5U);
  lithe::test::feed_mutations(files, 11, kMutationsPerFile, kPieces, feed);
}

}  // namespace
