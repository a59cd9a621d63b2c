#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace lithe::test {

/// Overwrites, cuts, doubles or splices in one of `pieces`, which often matter. The first `fixed` bytes stay.
inline void mutate(std::string& text, std::mt19937& random, const std::vector<std::string>& pieces,
                   std::size_t fixed = 0) {
  const auto below = [&random](std::size_t n) { return n == 0 ? 0 : random() % n; };
  const std::size_t at = fixed + below(text.size());
  if (fixed > 0 && at >= text.size()) return;
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
      text.replace(at, std::min(length / 4, text.size() - at), pieces[below(pieces.size())]);
  }
}

/// The files of a folder of tests/fuzz/corpus, in order.
inline std::vector<std::filesystem::path> corpus_files(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(LITHE_SOURCE_DIR "/tests/fuzz/corpus/" + folder))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

/// Feeds every file and mutations of it to a parser, which may throw nothing but errors, and those inside.
template <class Feed>
void feed_mutations(const std::vector<std::filesystem::path>& files, uint32_t seed, int per_file,
                    const std::vector<std::string>& pieces, const Feed& feed) {
  std::mt19937 random(seed);
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    ASSERT_NO_THROW(feed(text)) << file;
    for (int i = 0; i < per_file; ++i) {
      std::string mutated = text;
      for (uint32_t steps = 1 + random() % 4; steps > 0; --steps) mutate(mutated, random, pieces);
      ASSERT_NO_THROW(feed(mutated)) << mutated;
    }
  }
}

}  // namespace lithe::test
