#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "fuzz/mutate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);

namespace {

constexpr int kMutationsPerFile = 1000;

void feed(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

/// What often matters in such a body.
const std::vector<std::string> kPieces{"-1",
                                       "1e308",
                                       "18446744073709551615",
                                       "null",
                                       "[]",
                                       "{}",
                                       "\"\"",
                                       "\"role\":",
                                       "\"user\"",
                                       "\"content\"",
                                       "\"text\"",
                                       "true",
                                       "\"image_url\"",
                                       "data:;base64,",
                                       "file:///",
                                       "%2e%2e/",
                                       "<image>",
                                       "\"plan\":",
                                       "\\u0000",
                                       "\xff"};

TEST(CallFuzz, OnlyRefusalsEscape) {
  const std::vector<std::filesystem::path> files = lithe::test::corpus_files("serve");
  ASSERT_GE(files.size(), 6U);
  lithe::test::feed_mutations(files, 15, kMutationsPerFile, kPieces, feed);
}

}  // namespace
