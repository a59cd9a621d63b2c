#include <gtest/gtest.h>

#include <random>

#include "fuzz/io_targets.h"
#include "io/io_test_support.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;
using Target = int (*)(const uint8_t*, std::size_t);

constexpr int kMutations = 3000;

int run(Target target, const std::string& text) {
  return target(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

std::vector<std::string> files_under(const std::vector<std::string>& folders) {
  std::vector<fs::path> paths;
  for (const std::string& folder : folders) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());  // the same order everywhere, so that the mutations are the same
  std::vector<std::string> out;
  for (const fs::path& path : paths) out.push_back(read_file(path));
  return out;
}

/// Changes text as broken disks and attackers do. Same generator state, same change.
class Mutator {
 public:
  explicit Mutator(std::vector<std::string> corpus) : corpus_(std::move(corpus)) {}

  std::string next() {
    std::string text = pick(corpus_);
    for (std::size_t changes = below(4) + 1; changes > 0; --changes) change(text);
    return text;
  }

 private:
  std::size_t below(std::size_t end) { return end == 0 ? 0 : static_cast<std::size_t>(random_() % end); }
  const std::string& pick(const std::vector<std::string>& from) { return from[below(from.size())]; }

  void change(std::string& text) {
    const std::size_t at = below(text.size());
    switch (below(6)) {
      case 0:
        if (!text.empty()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:
        text.resize(at);
        break;
      case 2:
        overwrite_number(text, at);
        break;
      case 3:
        text.erase(at, below(16));
        break;
      case 4:
        text.insert(at, text.substr(below(text.size()), below(64)));
        break;
      default: {
        const std::string& other = pick(corpus_);
        text = text.substr(0, at) + other.substr(below(other.size()));
      }
    }
  }

  /// A little-endian number at the edge of a type, where lengths and offsets go wrong.
  void overwrite_number(std::string& text, std::size_t at) {
    constexpr uint64_t kEdges[] = {0,      1,          0x7f,       0x80,       0xff,       0x7fff,
                                   0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 1ULL << 62, ~0ULL};
    const uint64_t edge = kEdges[below(std::size(kEdges))];
    const std::size_t width = std::size_t{1} << below(4);
    for (std::size_t i = 0; i < width && at + i < text.size(); ++i)
      text[at + i] = static_cast<char>(edge >> (8 * i) & 0xff);
  }

  std::vector<std::string> corpus_;
  std::mt19937_64 random_{20260101};
};

struct Case {
  const char* name;
  Target target;
  std::vector<std::string> folders;
};

class Fuzz : public testing::TestWithParam<Case> {};

// Anything but an Error that leaves a target ends the test as a failure, and a sanitizer's finding ends the process.

TEST_P(Fuzz, TheCorpusGivesResultsOrErrors) {
  const std::vector<std::string> corpus = files_under(GetParam().folders);
  ASSERT_FALSE(corpus.empty());
  int parsed = 0;
  for (const std::string& text : corpus) parsed += run(GetParam().target, text);
  EXPECT_GT(parsed, 0);
}

TEST_P(Fuzz, MutationsGiveResultsOrErrors) {
  Mutator mutator(files_under(GetParam().folders));
  int parsed = 0;
  for (int i = 0; i < kMutations; ++i) parsed += run(GetParam().target, mutator.next());
  // Both ways are taken: the mutations neither miss what is parsed nor break everything.
  EXPECT_GT(parsed, 0);
  EXPECT_LT(parsed, kMutations);
}

const std::string kCorpus = LITHE_SOURCE_DIR "/tests/fuzz/corpus/";

INSTANTIATE_TEST_SUITE_P(Io, Fuzz,
                         testing::Values(Case{"safetensors", fuzz_safetensors, {kCorpus + "io_safetensors"}},
                                         Case{"torch", fuzz_torch, {kCorpus + "io_torch", LITHE_TEST_DATA "/io/torch"}},
                                         Case{"gguf", fuzz_gguf, {kCorpus + "io_gguf"}},
                                         Case{"shard_index", fuzz_shard_index, {kCorpus + "io_shard_index"}}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lithe::io
