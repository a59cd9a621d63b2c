#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>

#include "io/io_test_support.h"
#include "io/mapped_file.h"
#include "sanitized.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;

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

TEST(MappedFile, IsKnownByItsAddressWhileItIsMapped) {
  const TemporaryFolder folder;
  write_file(folder / "a.bin", "hello");
  struct stat status {};
  ASSERT_EQ(::stat((folder / "a.bin").c_str(), &status), 0);
  const void* address = nullptr;
  {
    const Bytes whole = map_file(folder / "a.bin");
    address = whole.span.data();
    EXPECT_EQ(mapped_file_at(whole.span.data() + 4), (folder / "a.bin").string());
    EXPECT_EQ(mapped_file_at(&status), std::nullopt);
    EXPECT_TRUE(is_mapped(status.st_dev, status.st_ino));
  }
  EXPECT_EQ(mapped_file_at(address), std::nullopt);
  EXPECT_FALSE(is_mapped(status.st_dev, status.st_ino));
}

TEST(MappedFileDeathTest, ALostPageEndsTheProgramWithASentence) {
  const TemporaryFolder folder;
  write_file(folder / "a\x1b.bin", std::string(100'000, 'x'));
  const Bytes other = map_file(folder / "a\x1b.bin");
  const auto touch = [&] {
    exit_on_lost_pages("program: ", 3);
    const Bytes bytes = map_file(folder / "a\x1b.bin");
    fs::resize_file(folder / "a\x1b.bin", 10);
    std::exit(std::to_integer<int>(bytes.span[50'000]));
  };
  EXPECT_EXIT(touch(), testing::ExitedWithCode(3), "^program: .*a\\\\x1b.bin: the file became shorter [^\n]*\n$");
}

TEST(MappedFileDeathTest, OtherBusErrorsEndItAsEver) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take such signals themselves";
  const TemporaryFolder folder;
  write_file(folder / "a.bin", "x");
  const Bytes bytes = map_file(folder / "a.bin");
  EXPECT_EXIT((exit_on_lost_pages("program: ", 3), ::raise(SIGBUS)), testing::KilledBySignal(SIGBUS), "^$");
  EXPECT_EXIT((exit_on_lost_pages("program: ", 3), ::raise(SIGSEGV)), testing::KilledBySignal(SIGSEGV), "^$");
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
