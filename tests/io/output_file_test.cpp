#include "io/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "io/atomic_file.h"
#include "io/io_test_support.h"
#include "io/mapped_file.h"
#include "io/safetensors.h"

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

TEST(OutputFile, AppearsOnlyAtCommit) {
  const TemporaryFolder folder;
  OutputFile file(folder / "a.txt");
  file.write("one ");
  file.write("two");
  EXPECT_FALSE(fs::exists(folder / "a.txt"));
  file.commit();
  EXPECT_EQ(read_file(folder / "a.txt"), "one two");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(OutputFile, LeavesTheOldFileWhenItIsDropped) {
  const TemporaryFolder folder;
  write_text_atomic(folder / "a.txt", "good");
  { OutputFile(folder / "a.txt").write("half"); }
  EXPECT_EQ(read_file(folder / "a.txt"), "good");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(OutputFile, TheLastOfTwoWritersWins) {
  const TemporaryFolder folder;
  OutputFile first(folder / "a.txt");
  OutputFile second(folder / "a.txt");
  first.write("first");
  second.write("second");
  first.commit();
  second.commit();
  EXPECT_EQ(read_file(folder / "a.txt"), "second");
}

TEST(OutputFile, WritesAtOffsetsInAnyOrder) {
  const TemporaryFolder folder;
  OutputFile file(folder / "a.txt");
  file.write_at(2, as_bytes("cd"));
  file.write_at(0, as_bytes("ab"));
  file.commit();
  EXPECT_EQ(read_file(folder / "a.txt"), "abcd");
}

TEST(OutputFile, CreatesTheFoldersAbove) {
  const TemporaryFolder folder;
  write_text_atomic(folder / "x/y/a.txt", "text");
  EXPECT_EQ(read_file(folder / "x/y/a.txt"), "text");
}

TEST(OutputFile, SaysWhyItCannotWrite) {
  const TemporaryFolder folder;
  write_file(folder / "file", "");
  expect_refused([&] { write_text_atomic(folder / "file/a.txt", ""); },
                 "file: the folder can't be created: Not a directory");
  expect_refused([&] { make_folder(folder / "file"); }, "file: ");
  expect_refused([&] { write_text_atomic(folder.path(), ""); }, "is a folder, so no file can be written there");
  expect_refused([&] { write_text_atomic("/proc/a.txt", ""); }, "/proc/a.txt: can't be written: ");
}

TEST(OutputFile, AFullDiskIsReportedAndLeavesNothingBehind) {
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

TEST(OutputFile, OfALinkTheTargetIsReplaced) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "far");
  write_file(folder / "far/target", "old");
  fs::create_symlink("far/target", folder / "link");
  fs::create_symlink("link", folder / "link-to-link");
  write_text_atomic(folder / "link-to-link", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link-to-link"));
  EXPECT_EQ(fs::read_symlink(folder / "link"), "far/target");
  EXPECT_EQ(read_file(folder / "far/target"), "new");
  EXPECT_EQ(files_in(folder / "far"), 1u);

  fs::create_symlink("far/absent", folder / "dangling");
  write_text_atomic(folder / "dangling", "made");
  EXPECT_TRUE(fs::is_symlink(folder / "dangling"));
  EXPECT_EQ(read_file(folder / "far/absent"), "made");

  fs::create_symlink("round", folder / "round");
  expect_refused([&] { write_text_atomic(folder / "round", ""); }, "round: can't be written: Too many levels");
}

TEST(OutputFile, AReplacedFileKeepsItsPermissions) {
  const TemporaryFolder folder;
  write_file(folder / "a", "old");
  const auto mode_after = [&](fs::perms before) {
    fs::permissions(folder / "a", before);
    write_text_atomic(folder / "a", "new");
    return fs::status(folder / "a").permissions();
  };
  EXPECT_EQ(mode_after(fs::perms(0640)), fs::perms(0640));
  EXPECT_EQ(mode_after(fs::perms(0600)), fs::perms(0600));
  const mode_t mask = ::umask(027);
  write_text_atomic(folder / "b", "new");
  ::umask(mask);
  EXPECT_EQ(fs::status(folder / "b").permissions(), fs::perms(0640));
}

TEST(OutputFile, APipeIsWrittenAsTheBytesCome) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  std::string read;
  std::thread reader([&] { read = read_file(folder / "pipe"); });
  write_safetensors(folder / "pipe", {{"bytes", tensor_of<int8_t>({1}, std::array<int8_t, 1>{5})},
                                      {"wide", tensor_of<int64_t>({1}, std::array<int64_t, 1>{6})}});
  reader.join();
  EXPECT_TRUE(fs::is_fifo(folder / "pipe"));
  write_file(folder / "file", read);
  const SafetensorsFile file = open_safetensors(folder / "file");
  EXPECT_EQ(file.tensors.at("bytes").values<int8_t>()[0], 5);
  EXPECT_EQ(file.tensors.at("wide").values<int64_t>()[0], 6);
}

TEST(OutputFile, ADeviceStaysADevice) {
  write_text_atomic("/dev/null", "text");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  expect_refused([] { write_text_atomic("/dev/full", "text"); },
                 "/dev/full: can't be written: No space left on device");
}

TEST(OutputFile, ASocketIsWrittenTo) {
  const TemporaryFolder folder;
  const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (folder / "socket").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  write_text_atomic(folder / "socket", "text");
  const int connection = ::accept(listener, nullptr, nullptr);
  std::array<char, 8> bytes{};
  EXPECT_EQ(::read(connection, bytes.data(), bytes.size()), 4);
  EXPECT_STREQ(bytes.data(), "text");
  EXPECT_TRUE(fs::is_socket(folder / "socket"));
  ::close(connection);
  ::close(listener);
}

TEST(OutputFile, AnOpenDescriptorIsWrittenAndNotReplaced) {
  const TemporaryFolder folder;
  const int file = ::open((folder / "a").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ASSERT_GE(file, 0);
  ASSERT_EQ(::write(file, "one ", 4), 4);
  write_text_atomic(concat("/dev/fd/", file), "two");
  ASSERT_EQ(::write(file, " three", 6), 6);
  ::close(file);
  EXPECT_EQ(read_file(folder / "a"), "one two three");
}

TEST(OutputFile, NamesThatCannotBeFiles) {
  const TemporaryFolder folder;
  expect_refused([] { write_text_atomic("", ""); }, "The name of the output is empty");
  expect_refused([] { write_text_atomic("-", ""); }, "write /dev/stdout for stdout, or ./- for the file");
  expect_refused([&] { write_text_atomic(folder / "absent/", ""); }, "is not the name of a file");
  expect_refused([&] { write_text_atomic(folder / std::string(300, 'x'), ""); },
                 "can't be written: File name too long");
  const std::string longest(255, 'x');
  write_text_atomic(folder / longest, "text");
  EXPECT_EQ(read_file(folder / longest), "text");
}

TEST(OutputFile, AMappedFileIsNotReplaced) {
  const TemporaryFolder folder;
  write_file(folder / "weights", "weights");
  fs::create_hard_link(folder / "weights", folder / "other-name");
  const Bytes mapped = map_file(folder / "weights");
  expect_refused([&] { write_text_atomic(folder / "other-name", "new"); }, "is an input of this command");
  EXPECT_EQ(read_file(folder / "weights"), "weights");
}

TEST(OutputFile, AFileThatShrinksWhileItIsCopiedIsToBlame) {
  const TemporaryFolder folder;
  write_file(folder / "from", std::string(100'000, 'x'));
  const Bytes mapped = map_file(folder / "from");
  fs::resize_file(folder / "from", 10);
  OutputFile file(folder / "to");
  expect_refused([&] { file.write(mapped.span.subspan(50'000)); }, "from: the file became shorter");
}

TEST(CheckOutput, MissingFoldersAreFineUnlessAFileStandsInTheirWay) {
  const TemporaryFolder folder;
  write_file(folder / "file", "");
  check_output(folder / "x/y/a.txt", {});
  EXPECT_FALSE(fs::exists(folder / "x"));
  for (const char* name : {"file/a.txt", "file/x/a.txt"})
    expect_refused([&] { check_output(folder / name, {}); }, "can't be written: Not a directory");
}

TEST(CheckOutput, AnInputIsNoOutputUnderWhateverName) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "model/vision_tower");
  write_file(folder / "model/vision_tower/model.safetensors", "weights");
  write_file(folder / "picture", "pixels");
  fs::create_symlink("picture", folder / "link");
  fs::create_hard_link(folder / "picture", folder / "hard");
  const std::vector<fs::path> inputs{folder / "absent", folder / "model", folder / "picture"};
  for (const char* name : {"picture", "link", "hard", "model/../picture", "model/vision_tower/model.safetensors"})
    expect_refused([&] { check_output(folder / name, inputs); }, "is an input of this command");
  check_output(folder / "new", inputs);
  check_output("/dev/null", {"/dev/null"});
  check_output("/dev/stdout", inputs);
  expect_refused([&] { check_output("", inputs); }, "empty");
  expect_refused([&] { check_output(folder.path(), inputs); }, "is a folder");
}

}  // namespace
}  // namespace lithe::io
