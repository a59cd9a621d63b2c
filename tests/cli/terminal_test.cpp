#include <gtest/gtest.h>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "cli/answer_watch.h"
#include "cli/program.h"
#include "cli/terminal.h"
#include "cli/terminal_text.h"

/// What a person at a terminal sees and can do: progress, Ctrl-C, pastes, and answers that hold control characters.
namespace lithe::cli {
namespace {

const std::string kTiny = LITHE_TEST_DATA "/golden/hf_llava15/checkpoint";
constexpr const char* kLong = "3900";  // tokens: longer than a tenth of a second, which progress waits

TEST(Terminal, AnAnswerShowsItsProgressAndCtrlCEndsIt) {
  const std::filesystem::path endless = scratch() / "endless";  // no token of its vocabulary ends an answer
  std::filesystem::copy(kTiny, endless, std::filesystem::copy_options::recursive);
  std::ofstream(endless / "generation_config.json") << R"({"eos_token_id": 1000000})";
  Terminal run(
      {"run", endless, "--raw-prompt", "--json", "-n", kLong, "USER: What is the capital of France? ASSISTANT:"},
      scratch() / "state", "xterm");
  run.until("answer: token ");
  run.until(concat("of at most ", kLong));
  run.type(kCtrlC);
  run.until("\"stop\": \"cancelled\"");
  EXPECT_EQ(run.exit_code(), 130);
}

TEST(Terminal, TheSummaryOfABatchHasALineOfItsOwn) {
  const std::filesystem::path lines = scratch() / "many.jsonl", out = scratch() / "many-answers.jsonl";
  std::filesystem::remove(out);
  std::ofstream file(lines);
  for (int id = 0; id < 100; ++id)  // longer than a tenth of a second, which progress waits
    file << Json{{"id", id}, {"prompt", "is there a circle?"}, {"image", LITHE_SOURCE_DIR "/models/images/901.png"}}
                .dump()
         << "\n";
  file.close();
  Terminal batch({"batch", "demo", lines, "-o", out}, scratch() / "state", "xterm");
  batch.until("batch: ");
  const std::string seen = batch.until("100 answered, 0 failed");
  const std::size_t line = seen.find_last_of("\nK", seen.size() - 23);  // a line's end, or what wipes it
  EXPECT_EQ(seen.substr(line + 1), "100 answered, 0 failed") << seen;
  EXPECT_EQ(batch.exit_code(), 0);
}

TEST(Terminal, CtrlCEndsABenchmark) {
  Terminal bench({"bench", kTiny, "--rounds", "1000000"}, scratch() / "state", "xterm");
  for (const char* const timed : {"vision tower", "dense", "dense again"})
    bench.until(concat("timing: round 3 of 1000000, ", timed));
  bench.type(kCtrlC);
  EXPECT_EQ(bench.exit_code(), 130);
}

TEST(Terminal, FoldSaysWhichStepItIsAt) {
  const std::filesystem::path folded = scratch() / "folded";
  std::filesystem::remove_all(folded);
  Terminal fold({"fold", LITHE_TEST_DATA "/golden/llava_eas/checkpoint", "-o", folded}, scratch() / "state", "xterm");
  for (const char* const step : {"running the prompt", "writing the folded weights", "comparing the folded model"})
    fold.until(concat("folding: ", step));
  EXPECT_EQ(fold.exit_code(), 0);
}

TEST(Terminal, PastedLinesAreOneMessage) {
  const std::vector<std::string> start = {"run", "demo", "--image", LITHE_SOURCE_DIR "/models/images/901.png"};
  std::string block, paste;
  {
    Terminal chat(start, scratch() / "state-block");
    chat.prompt();
    chat.type("\"\"\"what is\r");
    chat.prompt(". ");
    chat.type("/the [2Jcolor of\r");
    chat.prompt(". ");
    block = chat.enter("the rectangle?\"\"\"");
  }
  Terminal chat(start, scratch() / "state-paste");
  chat.prompt();
  chat.type("\033[200~what is\r\n/the \033[2Jcolor of\rthe rectangle?\r\033[201~");
  chat.until("the rectangle?");
  chat.type("\r");
  chat.until("\n");
  paste = chat.prompt();
  EXPECT_FALSE(paste.empty());
  EXPECT_EQ(paste, block);
  chat.type("/quit\r");
  EXPECT_EQ(chat.exit_code(), 0);
}

TEST(Terminal, AskedToMarkPastesWhileALineIsTyped) {
  Terminal chat({"run", "demo"}, scratch() / "state", "xterm");
  chat.until("\033[?2004h");
  chat.prompt();
  chat.type("/quit\r");
  chat.until("\033[?2004l");
  EXPECT_EQ(chat.exit_code(), 0);
}

TEST(TerminalText, ControlCharactersAreWrittenOut) {
  EXPECT_EQ(harmless("a\033[2J\tb\nc\r\x7f"), "a\\x1b[2J\tb\nc\\x0d\\x7f");
  EXPECT_EQ(harmless("\xc2\x9b"
                     "31m \xc3\xa4 \xc2\xa0"),
            "\\x9b31m \xc3\xa4 \xc2\xa0");
  EXPECT_EQ(harmless(std::string("\0", 1)), "\\x00");
}

TEST(ProgressText, SaysStageAndCount) {
  using Stage = session::Progress::Stage;
  EXPECT_EQ(progress_text({.stage = Stage::pictures, .done = 5, .total = 23, .item = 0, .items = 2}),
            "picture 1 of 2, layer 5 of 23");
  EXPECT_EQ(progress_text({.stage = Stage::prefill, .done = 3, .total = 32, .rows = 616}),
            "prompt of 616 tokens, layer 3 of 32");
  EXPECT_EQ(progress_text({.stage = Stage::decode, .done = 7, .total = 512}), "token 7 of at most 512");
}

}  // namespace
}  // namespace lithe::cli
