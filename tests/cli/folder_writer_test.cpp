#include "cli/folder_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <fstream>

#include "base/error.h"
#include "base/json.h"
#include "cli/exit_code.h"
#include "cli/program.h"
#include "io/new_folder.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

/// A folder to write in, a source, and nothing else.
fs::path with_source(const std::string& name) {
  const fs::path folder = scratch() / name;
  fs::create_directories(folder / "source");
  return folder;
}

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

/// Begins a folder, calls `kill` with half of it written, and never ends.
int interrupted(const fs::path& folder, void (*kill)()) {
  const auto make = [&] {
    const io::NewFolder made(folder / "source", folder / "out");
    std::ofstream(made.part() / "model.safetensors") << "half";
    kill();
    for (;;) pause();
  };
  return write_folder(folder / "out", make, [] {});
}

TEST(FolderWriter, CtrlCLeavesNothing) {
  const fs::path folder = with_source("interrupted");
  EXPECT_EQ(interrupted(folder, [] { raise(SIGINT); }), kExitInterrupted);
  EXPECT_EQ(entries(folder), 1U);
}

TEST(FolderWriter, AKillOfTheProgramReachesTheWriter) {
  const fs::path folder = with_source("killed");
  EXPECT_EQ(interrupted(folder, [] { kill(getppid(), SIGINT); }), kExitInterrupted);
  EXPECT_EQ(entries(folder), 1U);
}

TEST(FolderWriter, AWriterThatTheSystemKillsLeavesNothing) {
  const fs::path folder = with_source("out-of-memory");
  try {
    interrupted(folder, [] { raise(SIGKILL); });
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::internal);
    EXPECT_NE(std::string(error.what()).find("Killed"), std::string::npos) << error.what();
  }
  EXPECT_EQ(entries(folder), 1U);
}

/// Ends the writer by a signal after it has put the folder in place.
int ended_after_commit(const fs::path& folder, int signal) {
  const auto make = [&] {
    io::NewFolder made(folder / "source", folder / "out");
    std::ofstream(made.part() / "model.safetensors") << "whole";
    made.commit();
    raise(signal);
    for (;;) pause();
  };
  return write_folder(folder / "out", make, [] {});
}

// What the program says must be true: the folder exists.
TEST(FolderWriter, AWriterThatEndsAfterTheFolderIsInPlace) {
  for (const int signal : {SIGINT, SIGKILL}) {
    const fs::path folder = with_source("late-" + std::to_string(signal));
    testing::internal::CaptureStderr();
    EXPECT_EQ(ended_after_commit(folder, signal), signal == SIGINT ? kExitInterrupted : 1);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("is whole and in place"), std::string::npos);
    EXPECT_TRUE(fs::exists(folder / "out/model.safetensors"));
    EXPECT_EQ(entries(folder), 2U);
  }
}

TEST(FolderWriter, NamesThatCannotBeFolders) {
  const fs::path folder = with_source("names");
  fs::create_symlink("nowhere", folder / "dangling");
  std::ofstream(folder / "file") << "text";
  for (const std::string command : {"convert", "fold --raw-prompt", "quantize --weights int8"}) {
    for (const std::string& name : {std::string("''"), std::string(300, 'x'), std::string("file"),
                                    std::string("dangling"), std::string("source")}) {
      const Ran ran = shell("lithe " + command + " demo -o " + name, folder);
      EXPECT_EQ(ran.code, 2) << name << ran.err;
      EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
      EXPECT_EQ(ran.err.find("filesystem error"), std::string::npos) << ran.err;
    }
  }
  EXPECT_EQ(entries(folder), 3U);
  EXPECT_TRUE(shell("lithe convert demo --to same -o " + std::string(255, 'y'), folder).code == 0);
}

TEST(FolderWriter, TheExitCodeIsTheCommands) {
  const fs::path folder = with_source("done");
  const auto nothing = [] {};
  EXPECT_EQ(write_folder(folder / "out", nothing, nothing), 0);
  EXPECT_EQ(write_folder(
                folder / "out", [] { fail(Fault::bad_file, "bad"); }, nothing),
            kExitBadFile);
}

// Of two programs that write one folder, the second must not call the other's folder its own.
TEST(FolderWriter, AFolderThatAnotherProgramPutThereIsNotOurs) {
  const fs::path folder = with_source("another");
  const auto make = [&] {
    io::NewFolder made(folder / "source", folder / "out");
    fs::create_directories(folder / "out/of-another");
    made.commit();
  };
  testing::internal::CaptureStderr();
  EXPECT_EQ(write_folder(folder / "out", make, [] {}), kExitBadFile);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_NE(said.find("can't be put in place"), std::string::npos) << said;
  EXPECT_TRUE(fs::exists(folder / "out/of-another"));
  EXPECT_EQ(entries(folder), 2U);
}

TEST(FolderWriter, AReportThatIsLostLeavesTheFolder) {
  const fs::path folder = with_source("lost");
  const auto make = [&] { io::NewFolder(folder / "source", folder / "out").commit(); };
  testing::internal::CaptureStderr();
  EXPECT_EQ(write_folder(folder / "out", make, [] { fail(Fault::bad_file, "no room"); }), kExitBadFile);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("is whole and in place"), std::string::npos);
  EXPECT_EQ(entries(folder), 2U);
}

// A file that grows too large fails in the middle of being written.
TEST(FolderWriter, ConvertAndFoldLeaveNoPart) {
  const fs::path folder = with_source("commands");
  for (const std::string command : {"convert demo", "fold '" LITHE_TEST_DATA "/golden/llava_eas/checkpoint'"}) {
    const Ran ran = shell("ulimit -c 0; ulimit -f 40; lithe " + command + " -o out", folder);
    EXPECT_EQ(ran.code, 3) << ran.err;
    EXPECT_NE(ran.err.find("File too large"), std::string::npos) << ran.err;
    EXPECT_EQ(entries(folder), 1U) << command;
  }
}

TEST(Convert, TakesTheCommonFlags) {
  const fs::path folder = with_source("convert");
  const Ran ran =
      shell("lithe convert demo --to same -o out --threads 1 --device cpu --seed 3 --weights auto --json", folder);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_GT(parse_json(ran.out, "stdout").at("tensors"), 10);
  for (const std::string flags : {"--weights bfloat16", "--lora x", "--threads -1", "--device tpu"}) {
    const Ran refused = shell("lithe convert demo -o other " + flags, folder);
    EXPECT_EQ(refused.code, 2) << flags;
    EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
    EXPECT_FALSE(fs::exists(folder / "other"));
  }
}

}  // namespace
}  // namespace lithe::cli
