#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "io/atomic_file.h"
#include "io/io_test_support.h"
#include "io/mapped_file.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

/// No file may grow beyond `bytes` while this lives: what a full disk does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit old_{};
  void (*handler_)(int) = nullptr;
};

TEST(AtomicFile, AppearsOnlyAtCommit) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "a.txt");
  file.write("one ");
  file.write("two");
  EXPECT_FALSE(fs::exists(folder / "a.txt"));
  file.commit();
  EXPECT_EQ(read_file(folder / "a.txt"), "one two");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicFile, LeavesTheOldFileWhenItIsDropped) {
  const TemporaryFolder folder;
  write_text_atomic(folder / "a.txt", "good");
  { AtomicFile(folder / "a.txt").write("half"); }
  EXPECT_EQ(read_file(folder / "a.txt"), "good");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicFile, TheLastOfTwoWritersWins) {
  const TemporaryFolder folder;
  AtomicFile first(folder / "a.txt");
  AtomicFile second(folder / "a.txt");
  first.write("first");
  second.write("second");
  first.commit();
  second.commit();
  EXPECT_EQ(read_file(folder / "a.txt"), "second");
}

TEST(AtomicFile, WritesAtOffsetsInAnyOrder) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "a.txt");
  file.write_at(2, as_bytes("cd"));
  file.write_at(0, as_bytes("ab"));
  file.commit();
  EXPECT_EQ(read_file(folder / "a.txt"), "abcd");
}

TEST(AtomicFile, CreatesTheFoldersAbove) {
  const TemporaryFolder folder;
  write_text_atomic(folder / "x/y/a.txt", "text");
  EXPECT_EQ(read_file(folder / "x/y/a.txt"), "text");
}

TEST(AtomicFile, SaysWhyItCannotWrite) {
  const TemporaryFolder folder;
  write_file(folder / "file", "");
  expect_refused([&] { write_text_atomic(folder / "file/a.txt", ""); },
                 "file: the folder can't be created: Not a directory");
  expect_refused([&] { make_folder(folder / "file"); }, "file: ");
  expect_refused([&] { write_text_atomic(folder.path(), ""); }, "is a folder, so no file can be written there");
  expect_refused([&] { write_text_atomic("/proc/a.txt", ""); }, "/proc/a.txt: can't be written: ");
}

TEST(AtomicFile, AFullDiskIsReportedAndLeavesNothingBehind) {
  const TemporaryFolder folder;
  write_text_atomic(folder / "a.txt", "good");
  {
    const FileSizeLimit limit(100);
    expect_refused([&] { write_text_atomic(folder / "a.txt", std::string(200, 'x')); },
                   "a.txt: can't be written: File too large");
  }
  EXPECT_EQ(read_file(folder / "a.txt"), "good");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(MappedFile, OutlivesTheFileAndEveryCopyButOne) {
  const TemporaryFolder folder;
  write_file(folder / "a.bin", "hello");
  Bytes part;
  {
    const Bytes whole = map_file(folder / "a.bin");
    part = whole.slice(1, 3);
  }
  fs::remove(folder / "a.bin");
  EXPECT_EQ(as_text(part.span), "ell");
}

TEST(MappedFile, AnEmptyFileHasNoBytes) {
  const TemporaryFolder folder;
  write_file(folder / "a.bin", "");
  EXPECT_TRUE(map_file(folder / "a.bin").span.empty());
}

TEST(MappedFile, SaysWhyItCannotRead) {
  const TemporaryFolder folder;
  expect_refused([&] { map_file(folder / "absent"); }, "absent: can't be opened: No such file or directory");
  expect_refused([&] { map_file(folder.path()); }, "is not a regular file");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_refused([&] { map_file(folder / "pipe"); }, "pipe: is not a regular file");
}

TEST(Bytes, NamesInSentencesAreShortAndPrintable) {
  EXPECT_EQ(in_quotes("a.b"), "'a.b'");
  EXPECT_EQ(in_quotes("a\n\xff"), std::string("'a?") + "?'");
  EXPECT_EQ(in_quotes(std::string(200, 'x')), "'" + std::string(120, 'x') + "...'");
}

TEST(TensorView, BytesOfChecksEveryProduct) {
  EXPECT_EQ(bytes_of(Dtype::float32, std::vector<int64_t>{}), 4);
  EXPECT_EQ(bytes_of(Dtype::float16, std::vector<int64_t>{3, 5}), 30);
  EXPECT_EQ(bytes_of(Dtype::int8, std::vector<int64_t>{INT64_MAX, INT64_MAX, 0}), 0);
  EXPECT_EQ(bytes_of(Dtype::int8, std::vector<int64_t>{INT64_MAX}), INT64_MAX);
  EXPECT_EQ(bytes_of(Dtype::float32, std::vector<int64_t>{INT64_MAX}), std::nullopt);
  EXPECT_EQ(bytes_of(Dtype::float32, std::vector<int64_t>{-1}), std::nullopt);
  expect_refused([] { tensor_of<float>({3}, std::array<float, 2>{}); }, "a tensor of shape [3] was given 2 values");
}

}  // namespace
}  // namespace lithe::io
