#include <gtest/gtest.h>
#include <sys/stat.h>
#include <fstream>
#include <regex>

#include "base/error.h"
#include "base/trim.h"
#include "cli/chat_words.h"
#include "cli/history.h"
#include "cli/program.h"
#include "cli/terminal.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

const std::string kOther = LITHE_SOURCE_DIR "/models/images/506.png";
const std::string kHead =
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. ";

std::string fresh_answer(const std::string& prompt, const std::vector<std::string>& pictures,
                         const std::string& plan = {}) {
  std::vector<std::string> arguments{"run", "demo", "--raw-prompt"};
  for (const std::string& picture : pictures) arguments.insert(arguments.end(), {"--image", picture});
  if (!plan.empty()) arguments.insert(arguments.end(), {"--plan", plan});
  return lithe(arguments, kHead + prompt).out;
}

TEST(Chat, ABlockIsOneMessage) {
  Terminal chat({"run", "demo"}, scratch() / "state-block");
  chat.prompt();
  chat.enter("/image " + kPicture);
  chat.type("\"\"\" what is\r");
  chat.prompt(". ");
  chat.type("/the color of\r");
  chat.prompt(". ");
  const std::string answer = chat.enter("the rectangle? \"\"\"");
  EXPECT_EQ(answer, fresh_answer("USER: <image>\nwhat is\n/the color of\nthe rectangle? ASSISTANT:", {kPicture}));
  chat.type("\"\"\" given up\r");
  chat.prompt(". ");
  chat.type(kCtrlC);
  chat.prompt();
  EXPECT_EQ(chat.enter("\"\"\"/reset\"\"\""),
            fresh_answer("USER: <image>\nwhat is\n/the color of\nthe rectangle? ASSISTANT: " + trimmed(answer) +
                             "</s>USER: /reset ASSISTANT:",
                         {kPicture}));
  chat.type("/quit\r");
  EXPECT_EQ(chat.exit_code(), 0);
}

TEST(Chat, EveryTurnIsTheFreshAnswer) {
  const fs::path state = scratch() / "state";
  Terminal chat({"run", "demo"}, state);
  chat.prompt();
  EXPECT_NE(chat.enter("/image " + kPicture).find("64 x 64"), std::string::npos);
  const std::string color = "USER: <image>\nwhat is the color of the rectangle? ASSISTANT:";
  const std::string first = chat.enter("what is the color of the rectangle?");
  EXPECT_EQ(first, "Blue.\n");
  EXPECT_EQ(first, fresh_answer(color, {kPicture}));

  const std::string shape = color + " Blue.</s>USER: what shape is in the image? ASSISTANT:";
  const std::string second = chat.enter("what shape is in the image?");
  EXPECT_EQ(second, fresh_answer(shape, {kPicture}));

  chat.enter("/image '" + kOther + "'");
  EXPECT_EQ(chat.enter("/plan dense"), "plan dense\n");
  EXPECT_EQ(chat.enter("/plan"), "plan dense\n");
  const std::string circle =
      shape + " " + second.substr(0, second.size() - 1) + "</s>USER: <image>\nis there a circle? ASSISTANT:";
  EXPECT_EQ(chat.enter("is there a circle?"), fresh_answer(circle, {kPicture, kOther}, "dense"));

  EXPECT_EQ(chat.enter("/reset"), "");
  EXPECT_EQ(chat.enter("is there a circle?"), fresh_answer("USER: is there a circle? ASSISTANT:", {}, "dense"));
  chat.type(kCtrlD);
  EXPECT_EQ(chat.exit_code(), 0);
}

TEST(Chat, WhatIsWrongGetsItsSentence) {
  Terminal chat({"run", "demo", "--image", kPicture, "--verbose"}, scratch() / "state");
  chat.prompt();
  EXPECT_NE(chat.enter("/what").find("lithe: There is no command '/what'"), std::string::npos);
  EXPECT_NE(chat.enter("/image no-such.png").find("no-such.png"), std::string::npos);
  EXPECT_NE(chat.enter("/image").find("needs a file"), std::string::npos);
  EXPECT_NE(chat.enter("/plan no-such-plan").find("no-such-plan"), std::string::npos);
  EXPECT_NE(chat.enter("/quit now").find("takes no argument"), std::string::npos);
  EXPECT_NE(chat.enter("/help").find("/image FILE"), std::string::npos);
  EXPECT_NE(chat.enter("two <image> marks <image>").find("lithe: the prompt has 2 image marks"), std::string::npos);
  const std::string first = chat.enter("what is the color of the rectangle?");  // the picture is still there
  EXPECT_TRUE(first.starts_with("Blue.\n")) << first;
  EXPECT_EQ(first.find("reused"), std::string::npos) << first;
  EXPECT_TRUE(std::regex_search(chat.enter("is there a blue shape?"), std::regex("tokens, [0-9]+ reused")));
  std::string endless;
  for (int i = 0; i < 700; ++i) endless += "red blue ";
  chat.enter(endless);
  const std::string full = chat.enter(endless);
  EXPECT_NE(full.find("/reset begins a new one"), std::string::npos) << full;
  chat.type("/quit\r");
  EXPECT_EQ(chat.exit_code(), 0);
}

TEST(Chat, CtrlCEndsTheAnswerOrTheLine) {
  Terminal chat({"run", LITHE_TEST_DATA "/golden/hf_llava15/checkpoint", "-n", "3900"}, scratch() / "state");
  chat.prompt();
  chat.type("half a li");
  chat.until("li");
  chat.type(kCtrlC);
  chat.prompt();
  chat.type("What is the capital of France?\r");
  chat.until("\n");
  chat.answer_begins();
  chat.type(kCtrlC);
  chat.prompt();
  chat.type("/quit\r");
  EXPECT_EQ(chat.exit_code(), 0);
}

TEST(Chat, KeepsItsHistory) {
  const fs::path state = scratch() / "history";
  for (const std::string line : {"is there a gr\xc3\xbcnes shape?", "/plan"}) {
    Terminal chat({"run", "demo-dense"}, state);
    chat.prompt();
    chat.enter(line);
    chat.type(kCtrlD);
    EXPECT_EQ(chat.exit_code(), 0);
  }
  EXPECT_EQ(contents(state / "lithe/history"), "is there a gr\xc3\xbcnes shape?\n/plan\n");
  struct stat about = {};
  ASSERT_EQ(stat((state / "lithe/history").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600U);
  Terminal chat({"run", "demo-dense"}, state);
  chat.prompt();
  chat.type("\x10\r");  // Ctrl-P: the line before
  chat.until("/plan");
  chat.until("plan dense");
  chat.prompt();
  chat.type("/pl\tden\t\r");
  chat.until("/plan dense");
  chat.until("plan dense");
  chat.prompt();
  chat.type(kCtrlD);
  EXPECT_EQ(chat.exit_code(), 0);
}

TEST(Chat, RefusesFlagsOfOneAnswer) {
  for (const std::string flag : {"--json", "--raw-prompt"}) {
    Terminal chat({"run", "demo", flag}, scratch() / "state");
    chat.until("lithe: " + flag + " is for one answer");
    EXPECT_EQ(chat.exit_code(), 2);
  }
}

TEST(History, IsBoundedAndTakesNothingForGranted) {
  const fs::path file = scratch() / "bounded/history";
  {
    History history(file);
    EXPECT_TRUE(history.lines().empty());
    for (int i = 0; i < 1500; ++i) history.add("line " + std::to_string(i));
    history.add("line 1499");
    history.add("");
    history.add(std::string(20000, 'x'));
    history.add("two\nlines");
  }
  const History again(file);
  ASSERT_EQ(again.lines().size(), 1000U);
  EXPECT_EQ(again.lines().front(), "line 500");
  EXPECT_EQ(again.lines().back(), "line 1499");
  EXPECT_EQ(contents(file).substr(0, 9), "line 500\n");
  std::ofstream(file) << std::string(9 << 20, 'y') << "\nlast\n";
  EXPECT_EQ(History(file).lines(), std::vector<std::string>{"last"});
  EXPECT_LT(fs::file_size(file), 100U);
  EXPECT_THROW(History(scratch() / "bounded"), Error);
  History nowhere("/proc/no-such-folder/history");
  EXPECT_THROW(nowhere.add("line"), Error);
  History unkept{fs::path()};
  unkept.add("line");
  EXPECT_EQ(unkept.lines().size(), 1U);
}

TEST(ChatWords, CompleteCommandsPlansAndFiles) {
  EXPECT_EQ(complete_chat("/i").words, std::vector<std::string>{"/image "});
  EXPECT_EQ(complete_chat("/plan p-m").words, (std::vector<std::string>{"p-mod", "p-mod+eas"}));
  EXPECT_TRUE(complete_chat("what").words.empty());
  const fs::path folder = scratch() / "pictures";
  fs::create_directories(folder / "more");
  std::ofstream(folder / "a b.png");
  std::ofstream(folder / ".hidden");
  const std::string below = folder.string() + "/";
  EXPECT_EQ(complete_chat("/image " + below).words, (std::vector<std::string>{below + "a b.png", below + "more/"}));
  EXPECT_EQ(complete_chat("/image " + below + "a").words, std::vector<std::string>{below + "a b.png"});
  EXPECT_TRUE(complete_chat("/image /no-such-folder/x").words.empty());
  EXPECT_EQ(parse_command("/image  \"a b.png\" ").argument, "a b.png");
}

}  // namespace
}  // namespace lithe::cli
