#include "fuzz/data_targets.h"

#include <random>

#include "data_sets/support.h"

namespace lithe::data {
namespace {

namespace fs = std::filesystem;

constexpr int kMutations = 1500;  // of each file

using Target = int (*)(const uint8_t*, std::size_t);

int run(Target target, const std::string& bytes) {
  return target(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

/// Overwrites one to three numbers of one, two or four bytes, often by one at the edge of a type.
std::string changed(std::string bytes, std::mt19937& random) {
  constexpr uint32_t kEdges[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xffffffff};
  for (uint32_t changes = random() % 3 + 1; changes > 0; --changes) {
    const std::size_t at = random() % bytes.size(), width = std::size_t{1} << random() % 3;
    const auto value = static_cast<uint32_t>(random() % 2 == 0 ? random() : kEdges[random() % std::size(kEdges)]);
    for (std::size_t i = 0; i < width && at + i < bytes.size(); ++i)
      bytes[at + i] = static_cast<char>(value >> 8 * i & 0xff);
  }
  return bytes;
}

/// Every file below `folder`, in the order of their names.
std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Anything but an Error that leaves a target ends the test as a failure, and a sanitizer's finding ends the process.
void try_files(const fs::path& folder, Target target) {
  std::mt19937 random(20260101);
  int parsed = 0, rounds = 0;
  for (const fs::path& path : files_below(folder)) {
    const std::string whole = bytes_of(path);
    parsed += run(target, whole);
    for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 40, ++rounds)
      parsed += run(target, whole.substr(0, size));
    for (int round = 0; round < kMutations; ++round, ++rounds) parsed += run(target, changed(whole, random));
  }
  // Both ways are taken: the mutations neither miss what is parsed nor break everything.
  EXPECT_GT(parsed, rounds / 100);
  EXPECT_LT(parsed, rounds);
}

const fs::path kCorpus = LITHE_SOURCE_DIR "/tests/fuzz/corpus";

TEST(Fuzz, TablesGiveRowsOrErrors) {
  try_files(fs::path(LITHE_TEST_DATA) / "data_sets", fuzz_rows);
}

TEST(Fuzz, JsonAndTarGiveRowsOrErrors) {
  try_files(kCorpus / "data_rows", fuzz_rows);
}

TEST(Fuzz, ZipsGiveFilesOrErrors) {
  try_files(kCorpus / "data_zip", fuzz_zip);
}

}  // namespace
}  // namespace lithe::data
