#include <gtest/gtest.h>
#include <algorithm>

#include "cli/program.h"

namespace lithe::cli {
namespace {

/// A line of bash in the scratch folder, which alone may send stdout or stderr elsewhere.
Ran bash(const std::string& line) {
  return shell("exec bash -c '" + line + "'", scratch());
}

TEST(Output, AFullStdoutIsABadFile) {
  for (const std::string command :
       {"--help", "--version", "run --help", "help run", "inspect demo", "inspect demo --json", "plans",
        "completion bash", "demo --no-wide", "run demo -n 1 hi", "run demo -n 1 --json hi", "convert demo -o full"}) {
    const Ran ran = bash("lithe " + command + " >/dev/full");
    EXPECT_EQ(ran.code, 3) << command;
    EXPECT_NE(ran.err.find("can't be written to stdout (No space left"), std::string::npos) << command << ran.err;
  }
}

TEST(Output, AClosedStdoutIsABadFile) {
  const Ran ran = bash("lithe inspect demo >&-");
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("can't be written to stdout"), std::string::npos) << ran.err;
}

// The signal that ends other programs there says nothing.
TEST(Output, AFileThatMayNotGrowIsABadFile) {
  const auto old = scratch() / "limited.safetensors";
  ASSERT_EQ(bash("echo good > limited.safetensors").code, 0);
  for (const std::string command :
       {"trace demo --prompt x --max-tokens 0 -o limited.safetensors", "inspect demo --json > limited.json",
        "batch demo <(for i in {1..60}; do echo \"{\\\"id\\\": $i, \\\"prompt\\\": \\\"x\\\"}\"; done) -n 99 "
        "-o limited.jsonl"}) {
    const Ran ran = bash("ulimit -c 0; ulimit -f 1; lithe " + command);
    EXPECT_EQ(ran.code, 3) << command << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_NE(ran.err.find("File too large"), std::string::npos) << ran.err;
  }
  EXPECT_EQ(contents(old), "good\n");
}

// Neither a success nor the code of a failure depends on stderr.
TEST(Output, StderrChangesNoExitCode) {
  for (const std::string stream : {"2>/dev/full", "2>&-", "2> >(exec true)"}) {
    EXPECT_EQ(bash("lithe trace demo --prompt x --max-tokens 0 -o t.safetensors " + stream).code, 0) << stream;
    EXPECT_EQ(bash("lithe run demo -n 1 -v hi >/dev/null " + stream).code, 0) << stream;
    EXPECT_EQ(bash("lithe run no-such-model hi " + stream).code, 3) << stream;
    EXPECT_EQ(bash("lithe run demo --no-such-flag " + stream).code, 2) << stream;
  }
}

// A file that takes the number of a closed stream would get what is meant for that stream.
TEST(Output, AFileNeverTakesThePlaceOfAClosedStream) {
  const auto expected = scratch() / "open.safetensors", file = scratch() / "closed.safetensors";
  ASSERT_EQ(bash("lithe trace demo --prompt x --max-tokens 0 -o open.safetensors").code, 0);
  ASSERT_EQ(bash("lithe trace demo --prompt x --max-tokens 0 -o closed.safetensors <&- >&- 2>&-").code, 0);
  EXPECT_EQ(contents(file), contents(expected));
}

// As other programs do: killed by SIGPIPE, without a message; if SIGPIPE is ignored, an error.
TEST(Output, AReaderThatLeavesEndsTheProgramQuietly) {
  const Ran ran = bash("lithe help run > >(exec true); exit $?");
  EXPECT_TRUE(ran.code == 0 || ran.code == 141) << ran.code;
  const Ran closed = bash("{ sleep 1; lithe help run; echo $? >&2; } | true");
  EXPECT_EQ(closed.err, "141\n");
  const Ran ignored = bash("trap \"\" PIPE; { sleep 1; lithe help run; echo $? >&2; } | true");
  EXPECT_TRUE(ignored.err.ends_with("3\n")) << ignored.err;
  EXPECT_NE(ignored.err.find("Broken pipe"), std::string::npos) << ignored.err;
}

// Names of files, models and plans come from users and files; a terminal must not obey them.
TEST(Output, NoControlCharactersOfNamesReachTheTerminal) {
  const std::string escape = "\x1b[2J";
  const auto folder = scratch() / ("model" + escape);
  std::filesystem::copy(LITHE_SOURCE_DIR "/models/easyvqa-pmod", folder, std::filesystem::copy_options::recursive);
  const auto plan = scratch() / "plan.json";
  ASSERT_EQ(bash("printf %s \"{\\\"name\\\": \\\"p\\\\u001b[2J\\\", \\\"method\\\": \\\"fastv\\\"}\" > plan.json").code,
            0);
  const auto expect_printable = [&](const std::vector<std::string>& arguments, int code) {
    const Ran ran = lithe(arguments);
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_NE((ran.out + ran.err).find("\\x1b[2J"), std::string::npos) << arguments[0] << ran.out << ran.err;
    EXPECT_EQ((ran.out + ran.err).find('\x1b'), std::string::npos) << arguments[0];
  };
  const std::string file = (scratch() / ("file" + escape)).string();
  expect_printable({"inspect", folder.string()}, 0);
  expect_printable({"inspect", "demo", "--plan", plan.string()}, 0);
  expect_printable({"plans", plan.string()}, 0);
  expect_printable({"bench", folder.string(), "-r", "1", "--warm-up", "0"}, 0);
  expect_printable({"trace", "demo", "--prompt", "x", "--max-tokens", "0", "-o", file}, 0);
  expect_printable({"convert", "demo", "-o", file + "-folder"}, 0);
  expect_printable({"run", "/nonexistent/" + escape, "x"}, 3);
  expect_printable({"run", "demo", "--plan", escape, "x"}, 2);
  expect_printable({"run", "demo", "--" + escape}, 2);
  expect_printable({"run", "demo", "--temp", escape, "x"}, 2);
  expect_printable({escape}, 2);
}

TEST(Output, MessagesAreOfBoundedLength) {
  const std::string longest(100000, 'x');
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"run", longest, "x"},
                                             {longest},
                                             {"run", "demo", "x", "--" + longest},
                                             {"run", "demo", "x", "--temp", longest},
                                             {"run", "demo", "x", longest},
                                             {"run", "demo", "x", "--plan", longest},
                                             {"run", "demo", "x", "--weights", longest},
                                             {"help", longest},
                                             {"plans", longest}}) {
    const Ran ran = lithe(arguments);
    EXPECT_GE(ran.code, 2);
    EXPECT_LE(ran.err.size(), 2100U) << arguments[0];
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << arguments[0];
  }
}

}  // namespace
}  // namespace lithe::cli
