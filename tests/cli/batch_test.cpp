#include <gtest/gtest.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/json.h"
#include "cli/batch_output.h"
#include "cli/program.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

/// A fresh folder with two pictures, so that paths are relative to the file of questions and not to the working
/// directory.
fs::path folder(const std::string& name) {
  const fs::path path = scratch() / name;
  fs::create_directories(path / "pictures");
  for (const char* picture : {"901.png", "506.png"}) {
    fs::copy_file(fs::path(LITHE_SOURCE_DIR) / "models/images" / picture, path / "pictures" / picture,
                  fs::copy_options::overwrite_existing);
  }
  return path;
}

void write(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

std::vector<Json> lines_of(const fs::path& file) {
  std::vector<Json> lines;
  std::istringstream in(contents(file));
  for (std::string line; std::getline(in, line);) lines.push_back(parse_json(line, file.string()));
  return lines;
}

/// The lines of an output by id; those without one by "line N".
std::map<std::string, Json> by_id(const fs::path& file) {
  std::map<std::string, Json> found;
  for (const Json& line : lines_of(file)) {
    const std::string key = line.contains("id") ? line.at("id").dump() : "line " + line.at("line").dump();
    EXPECT_TRUE(found.emplace(key, line).second) << key;
  }
  return found;
}

const std::string kColor = "what is the color of the rectangle?";

std::string good_questions() {
  std::string text;
  for (int i = 0; i < 6; ++i) {
    const Json line = {{"id", i},
                       {"image", i % 2 ? "pictures/506.png" : "pictures/901.png"},
                       {"prompt", kColor},
                       {"category", "colour"}};
    text += line.dump() + "\n";
  }
  return text;
}

TEST(Batch, AnswersAsRunDoes) {
  const fs::path at = folder("batch-answers");
  write(at / "in.jsonl",
        good_questions() +
            R"({"id": "two", "images": ["pictures/901.png", "pictures/506.png"], "prompt": "is there a circle?"})"
            "\n"
            R"({"id": "none", "prompt": "is there a circle?", "max_tokens": 3, "plan": "dense"})");
  const Ran ran =
      lithe({"batch", "demo", (at / "in.jsonl").string(), "-o", (at / "out.jsonl").string(), "--batch-size", "3"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_NE(ran.err.find("8 answered, 0 failed, 0 skipped"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("tokens/s"), std::string::npos);
  const auto answers = by_id(at / "out.jsonl");
  ASSERT_EQ(answers.size(), 8U);
  const auto expect = [&](const std::string& id, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"run", "demo", "--json"});
    const Json alone = parse_json(lithe(arguments).out, "stdout");
    for (const char* key : {"answer", "tokens", "stop"}) EXPECT_EQ(answers.at(id).at(key), alone.at(key)) << id;
    EXPECT_EQ(answers.at(id).at("vision_tokens"), alone.at("vision_tokens"));
  };
  const std::string first = (at / "pictures/901.png").string(), second = (at / "pictures/506.png").string();
  expect("0", {"--image", first, kColor});
  expect("5", {"--image", second, kColor});
  expect("\"two\"", {"--image", first, "--image", second, "is there a circle?"});
  expect("\"none\"", {"--plan", "dense", "-n", "3", "is there a circle?"});
}

TEST(Batch, DrawsAsRunDoes) {
  const fs::path at = folder("batch-draws");
  write(at / "in.jsonl", good_questions());
  const std::vector<std::string> flags = {"--temp", "3", "--top-k", "50", "-n", "12", "--seed", "7"};
  std::vector<std::string> arguments = {"batch", "demo", (at / "in.jsonl").string(), "-o", (at / "out.jsonl").string()};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  ASSERT_EQ(lithe(arguments).code, 0);
  arguments = {"run", "demo", "--image", (at / "pictures/901.png").string(), kColor};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  EXPECT_EQ(by_id(at / "out.jsonl").at("0").at("answer").get<std::string>() + "\n", lithe(arguments).out);
}

TEST(Batch, ABadLineGetsAnErrorAndTheOthersGoOn) {
  const fs::path at = folder("batch-bad");
  const std::vector<std::string> bad = {"no json",
                                        "[1]",
                                        R"({"prompt": "without an id"})",
                                        R"({"id": 1.5, "prompt": "x"})",
                                        R"({"id": "a"})",
                                        R"({"id": "b", "prompt": 3})",
                                        R"({"id": "c", "image": "no-such.png", "prompt": "x"})",
                                        R"({"id": "d", "image": "in.jsonl", "prompt": "x"})",
                                        R"({"id": "e", "images": "one", "prompt": "x"})",
                                        R"({"id": "f", "prompt": "x", "plan": "no-such-plan"})",
                                        R"({"id": "g", "prompt": "x", "max_tokens": 0})",
                                        R"({"id": "h", "prompt": "x", "max_tokens": "many"})",
                                        R"({"id": "i", "prompt": "two <image> <image>", "image": "pictures/901.png"})",
                                        R"({"id": 0, "prompt": "again"})"};
  std::string text = good_questions() + "\n  \n";
  for (const std::string& line : bad) text += line + "\n";
  write(at / "in.jsonl", text + std::string(17 << 20, 'x') + "\n" +
                             R"({"id": "last", "image": "pictures/901.png", "prompt": ")" + kColor + "\"}\n");
  const Ran ran = lithe({"batch", "demo", (at / "in.jsonl").string(), "-o", (at / "out.jsonl").string(), "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json summary = parse_json(ran.out, "stdout");
  EXPECT_EQ(summary.at("answered"), 7);
  EXPECT_EQ(summary.at("failed"), bad.size() + 1);
  EXPECT_GT(summary.at("tokens_per_second"), 0);
  std::map<int64_t, Json> errors;
  for (const Json& line : lines_of(at / "out.jsonl")) {
    if (line.contains("error")) errors.emplace(line.at("line").get<int64_t>(), line);
  }
  ASSERT_EQ(errors.size(), bad.size() + 1);
  EXPECT_NE(errors.at(15).at("error").get<std::string>().find("no-such.png"), std::string::npos);
  EXPECT_EQ(errors.at(15).at("id"), "c");
  EXPECT_NE(errors.at(22).at("error").get<std::string>().find("line 1 has the same"), std::string::npos);
  EXPECT_NE(errors.at(23).at("error").get<std::string>().find("16 MiB"), std::string::npos);
  // Once more: nothing is left to do.
  const std::string before = contents(at / "out.jsonl");
  EXPECT_EQ(lithe({"batch", "demo", (at / "in.jsonl").string(), "-o", (at / "out.jsonl").string()}).code, 0);
  EXPECT_EQ(contents(at / "out.jsonl"), before);
}

// Cut anywhere after its first id, a file is continued to the same set of lines, and whole lines are not touched.
TEST(Batch, ContinuesAnInterruptedFile) {
  const fs::path at = folder("batch-resume"), out = at / "out.jsonl";
  write(at / "in.jsonl", good_questions());
  const std::vector<std::string> command = {"batch", "demo", (at / "in.jsonl").string(), "-o", out.string()};
  ASSERT_EQ(lithe(command).code, 0);
  const std::string whole = contents(out);
  const auto answers = by_id(out);
  const std::size_t second = whole.find('\n', whole.find('\n') + 1);
  for (const std::size_t cut : {std::size_t{0}, whole.find("answer") + 9, second - 3, second, second + 1, second + 9,
                                whole.size() - 1, whole.size()}) {
    write(out, whole.substr(0, cut));
    const Ran ran = lithe(command);
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(by_id(out), answers) << cut;
    const std::size_t kept = cut == 0 ? 0 : whole.rfind('\n', cut - 1) + 1;
    EXPECT_EQ(contents(out).substr(0, kept), whole.substr(0, kept)) << cut;
  }
}

TEST(Batch, RefusesInOneSentence) {
  const fs::path at = folder("batch-refuse");
  write(at / "in.jsonl", good_questions());
  const std::string in = (at / "in.jsonl").string(), out = (at / "out.jsonl").string();
  const auto expect = [](const Ran& ran, int code, const std::string& words) {
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_NE(ran.err.find(words), std::string::npos) << ran.err;
  };
  expect(lithe({"batch", "demo", in}), 2, "--output");
  expect(lithe({"batch", "demo", (at / "no.jsonl").string(), "-o", out}), 3, "no.jsonl");
  expect(lithe({"batch", "demo", in, "-o", in}), 2, "input");
  expect(lithe({"batch", "demo", in, "-o", ""}), 2, "--output is empty");
  expect(lithe({"batch", "demo", in, "-o", std::string(300, 'x')}), 2, "File name too long");
  expect(lithe({"batch", "demo", in, "-o", out, "--batch-size", "0"}), 2, "--batch-size");
  expect(lithe({"batch", "demo", in, "-o", out, "--memory", "-1"}), 2, "--memory");
  expect(lithe({"batch", "demo", in, "-o", out, "--top-p", "-1"}), 2, "top-p");
  expect(lithe({"batch", "demo", in, "-o", out, "--plan", "no-such-plan"}), 2, "no-such-plan");
  EXPECT_FALSE(fs::exists(out));
  const std::string answer = "{\"id\":1,\"answer\":\"x\",\"tokens\":[2]}\n";
  for (const std::string& foreign :
       {std::string("a note\n"), std::string("a note"), good_questions(), answer + "[1]\n", answer + "7",
        answer + R"({"id":"mine","note":"of another kind")", std::string(R"({"id":"mine","note":"of another kind"})"),
        std::string(R"({"id":1,"question":"x","answer":"y"})") + "\n", std::string(R"({"id":1,"answer":3})") + "\n",
        std::string(R"({"line":1})") + "\n", answer + std::string(3, '\0')}) {
    write(out, foreign);
    expect(lithe({"batch", "demo", in, "-o", out}), 3, "another name");
    EXPECT_EQ(contents(out), foreign);
  }
}

TEST(Batch, TakesAPipe) {
  const fs::path at = folder("batch-pipe");
  write(at / "in.jsonl", good_questions());
  const Ran ran = shell("head -n 2 in.jsonl | lithe batch demo /dev/stdin -o out.jsonl", at);
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto answers = by_id(at / "out.jsonl");
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_TRUE(answers.at("0").contains("answer")) << answers.at("0");
  const Ran folder_in = shell("lithe batch demo . -o out.jsonl", at);
  EXPECT_EQ(folder_in.code, 3);
  EXPECT_NE(folder_in.err.find("The input \".\" is a folder"), std::string::npos) << folder_in.err;
}

// What failed runs again when the batch is continued, and the new line replaces its error.
TEST(Batch, AMendedLineIsAnswered) {
  const fs::path at = folder("batch-mended"), out = at / "out.jsonl";
  const std::vector<std::string> command = {"batch", "demo", (at / "in.jsonl").string(), "-o", out.string()};
  const std::string a = R"({"id":"a","prompt":"x"})"
                        "\n",
                    c = R"({"id":"c","prompt":"x"})"
                        "\n";
  const std::string bad = R"({"id":"b","image":"pictures/late.png","prompt":"x"})"
                          "\n";
  write(at / "in.jsonl", a + "{broken\n" + c + bad);
  ASSERT_EQ(lithe(command).code, 0);
  const std::string first = contents(out);
  EXPECT_EQ(by_id(out).size(), 4U);
  EXPECT_TRUE(by_id(out).at("line 2").contains("error"));
  ASSERT_EQ(lithe(command).code, 0);
  EXPECT_EQ(contents(out), first);  // the same errors again
  // The broken line moves down, another takes its number, and the picture has come.
  fs::copy_file(at / "pictures/901.png", at / "pictures/late.png");
  write(at / "in.jsonl", a + "{\"id\":\"NEW\",\"prompt\":\"x\"}\n" + c + bad + "{broken\n");
  const Ran ran = lithe(command);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.err.find("2 answered, 1 failed, 2 skipped"), std::string::npos) << ran.err;
  const auto lines = by_id(out);
  ASSERT_EQ(lines.size(), 5U);
  for (const char* id : {"\"a\"", "\"b\"", "\"c\"", "\"NEW\""}) EXPECT_TRUE(lines.at(id).contains("answer")) << id;
  EXPECT_TRUE(lines.at("line 5").contains("error"));
  write(at / "in.jsonl", a + "{\"id\":\"NEW\",\"prompt\":\"x\"}\n" + c + bad);
  ASSERT_EQ(lithe(command).code, 0);
  EXPECT_EQ(by_id(out).size(), 4U);  // no error of a line that is gone
}

TEST(Batch, NullIsAsGoodAsAbsent) {
  const fs::path at = folder("batch-null"), out = at / "out.jsonl";
  write(at / "in.jsonl", R"({"id": 1, "image": null, "images": null, "plan": null, "max_tokens": null, "prompt": "x"})"
                         "\n"
                         R"({"id": 2, "image": "pictures/901.png", "images": null, "prompt": "x"})"
                         "\n"
                         R"({"id": null, "prompt": "x"})"
                         "\n"
                         R"({"id": 4, "prompt": null})"
                         "\n"
                         R"({"id": 5, "prompt": "x", "max_tokens": 18446744073709551615})");
  ASSERT_EQ(lithe({"batch", "demo", (at / "in.jsonl").string(), "-o", out.string()}).code, 0);
  const auto lines = by_id(out);
  EXPECT_TRUE(lines.at("1").contains("answer")) << lines.at("1");
  EXPECT_EQ(lines.at("2").at("vision_tokens"), 64);
  EXPECT_NE(lines.at("line 3").at("error").get<std::string>().find("'id' is missing"), std::string::npos);
  EXPECT_NE(lines.at("4").at("error").get<std::string>().find("'prompt' is missing"), std::string::npos);
  EXPECT_NE(lines.at("5").at("error").get<std::string>().find("max_tokens"), std::string::npos);
}

TEST(Batch, NamesAKeyThatIsNearlyAKnownOne) {
  const fs::path at = folder("batch-misspelt"), out = at / "out.jsonl";
  write(at / "in.jsonl", R"({"id": 1, "promt": "x"})"
                         "\n"
                         R"({"id": 2, "prompt": "x", "max_token": 2})"
                         "\n"
                         R"({"id": 3, "prompt": "x", "max_token": 2, "image": "pictures/901.png", "image_id": 7})");
  const Ran ran = lithe({"batch", "demo", (at / "in.jsonl").string(), "-o", out.string(), "-n", "1"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const std::string error = by_id(out).at("1").at("error").get<std::string>();
  EXPECT_NE(error.find("'prompt' is missing; rename \"promt\" to it"), std::string::npos) << error;
  const std::string note = "line 2: the key \"max_token\" is ignored; the key for this is 'max_tokens'";
  EXPECT_NE(ran.err.find(note), std::string::npos) << ran.err;
  EXPECT_EQ(ran.err.rfind("note: "), ran.err.find("note: ")) << ran.err;  // once, and no other
}

// An editor may have taken the last newline away; outputs of release 0.1 are continued too.
TEST(Batch, KeepsAWholeLastLineWithoutItsNewline) {
  const fs::path at = folder("batch-newline"), out = at / "out.jsonl";
  write(at / "in.jsonl", "{\"id\":1,\"prompt\":\"x\"}\n{\"id\":2,\"prompt\":\"x\"}\n");
  const std::string old = R"({"id":1,"answer":"old","tokens":[2],"stop":"eos","prompt_rows":9,"vision_rows":0})";
  write(out, old);
  const Ran ran = lithe({"batch", "demo", (at / "in.jsonl").string(), "-o", out.string()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(contents(out).starts_with(old + "\n"));
  EXPECT_EQ(by_id(out).size(), 2U);
}

TEST(Batch, WritesIntoAPipe) {
  const fs::path at = folder("batch-into-pipe");
  write(at / "in.jsonl", good_questions());
  const Ran ran = shell("lithe batch demo in.jsonl -o /dev/stdout | wc -l", at);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "6\n") << ran.err;
}

TEST(Batch, KnowsTheBeginningOfItsLines) {
  const std::string answer = R"({"id":"a\"b","answer":"x","tokens":[1]})", error = R"({"line":12,"error":"x"})",
                    both = R"({"id":-12,"line":3,"error":"x"})";
  for (const std::string& line : {answer, error, both}) {
    for (std::size_t cut = 0; cut <= line.size(); ++cut) EXPECT_TRUE(begins_a_line(line.substr(0, cut))) << cut;
  }
  for (const char* other :
       {"x", "{}", "{\"id\":[", "{\"id\": 1", "{\"id\":1,\"note\"", "{\"line\":1,\"answer\"", "{\"x"})
    EXPECT_FALSE(begins_a_line(other)) << other;
}

// `{"id":"my note` may be what another program was writing, unless a line of a batch comes before it.
TEST(Batch, KeepsABeginningThatMayBeForeign) {
  const fs::path at = folder("batch-foreign"), out = at / "out.jsonl";
  write(at / "in.jsonl", "{\"id\":1,\"prompt\":\"x\"}\n");
  const std::string torn = R"({"id":"my note)", whole = R"({"id":7,"answer":"old"})"
                                                        "\n";
  for (const std::string& foreign : {torn, std::string(R"({"id":3,)")}) {
    write(out, foreign);
    const Ran ran = lithe({"batch", "demo", (at / "in.jsonl").string(), "-o", out.string()});
    EXPECT_EQ(ran.code, 3);
    EXPECT_NE(ran.err.find("give the output another name"), std::string::npos) << ran.err;
    EXPECT_EQ(contents(out), foreign);
  }
  for (const std::string& own : {whole + torn, std::string(R"({"id":7,"answer":"o)")}) {
    write(out, own);
    ASSERT_EQ(lithe({"batch", "demo", (at / "in.jsonl").string(), "-o", out.string(), "-n", "1"}).code, 0);
    EXPECT_EQ(contents(out).find(torn), std::string::npos);
    EXPECT_EQ(by_id(out).count("1"), 1U);
  }
}

// Also while it reads lines that all fail, of which there may be many.
TEST(Batch, CtrlCEndsIt) {
  const fs::path at = folder("batch-interrupt");
  const Ran ran = shell(
      "seq -f '{\"id\": 1, \"n\": %.0f}' 1 99999999 | "
      "timeout --preserve-status -s INT -k 20 4 lithe batch demo /dev/stdin -o /dev/null",
      at);
  EXPECT_EQ(ran.code, 130) << ran.err;
}

TEST(Batch, ARequestThatNeverFitsIsAnErrorLine) {
  const fs::path at = folder("batch-memory"), out = at / "out.jsonl";
  write(at / "in.jsonl", good_questions());
  ASSERT_EQ(lithe({"batch", "demo", (at / "in.jsonl").string(), "-o", out.string(), "--memory", "0.001"}).code, 0);
  for (const Json& line : lines_of(out))
    EXPECT_NE(line.at("error").get<std::string>().find("allow more memory. --memory says"), std::string::npos) << line;
}

TEST(Batch, ShardsAreMergedToTheWhole) {
  const fs::path at = folder("batch-shards");
  write(at / "in.jsonl", good_questions() + "{\"id\": 99}\n");
  const auto call = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"batch", "demo", (at / "in.jsonl").string(), "-n", "3"});
    return lithe(more);
  };
  const std::string whole = (at / "whole.jsonl").string(), out = (at / "out.jsonl").string();
  ASSERT_EQ(call({"-o", whole}).code, 0);
  for (const char* shard : {"0/2", "1/2"}) {
    const Ran ran = call({"-o", out, "--shard", shard});
    ASSERT_EQ(ran.code, 0) << ran.err;
  }
  const std::string first = (at / "out.shard-0-of-2.jsonl").string(), second = (at / "out.shard-1-of-2.jsonl").string();
  EXPECT_EQ(lines_of(first).size(), 4U);
  const auto refused = [&](std::vector<std::string> shards, const std::string& word) {
    shards.insert(shards.begin(), "merge");
    shards.insert(shards.end(), {"-o", out});
    const Ran ran = lithe(shards);
    EXPECT_NE(ran.code, 0);
    EXPECT_NE(ran.err.find(word), std::string::npos) << ran.err;
  };
  refused({first}, "Shard 1/2 is missing");
  refused({first, second, first}, "both hold shard 0/2");
  refused({whole, second}, "whole.json");
  ASSERT_EQ(call({"-o", (at / "other.jsonl").string(), "--shard", "1/2", "--plan", "dense"}).code, 0);
  refused({first, (at / "other.shard-1-of-2.jsonl").string()}, "another plan");
  EXPECT_EQ(call({"-o", out, "--shard", "1/2", "--plan", "dense"}).code, 2);
  const Ran ran = lithe({"merge", second, first, "-o", out, "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(parse_json(ran.out, "merge").at("answered"), 6);
  EXPECT_EQ(by_id(out), by_id(whole));
  refused({first, second}, "exists");
}

TEST(Batch, AShardNeedsAFileAndAName) {
  const fs::path at = folder("batch-shard-files");
  write(at / "in.jsonl", good_questions());
  const auto said = [&](const std::string& input, const std::string& output) {
    const Ran ran = lithe({"batch", "demo", input, "-o", output, "--shard", "0/2"});
    EXPECT_NE(ran.code, 0);
    return ran.err;
  };
  const std::string absent = said((at / "absent.jsonl").string(), (at / "out.jsonl").string());
  EXPECT_NE(absent.find("can't be opened"), std::string::npos) << absent;
  const std::string unnamed = said((at / "in.jsonl").string(), "");
  EXPECT_NE(unnamed.find("--output is empty"), std::string::npos) << unnamed;
}

TEST(Batch, AShardThatIsNotDoneIsNotMerged) {
  const fs::path at = folder("batch-gap");
  write(at / "in.jsonl", good_questions());
  for (const char* shard : {"0/2", "1/2"})
    ASSERT_EQ(lithe({"batch", "demo", (at / "in.jsonl").string(), "-n", "2", "-o", (at / "out.jsonl").string(),
                     "--shard", shard})
                  .code,
              0);
  const std::string first = (at / "out.shard-0-of-2.jsonl").string(), second = (at / "out.shard-1-of-2.jsonl").string();
  const std::string lines = contents(second);
  write(second, lines.substr(0, lines.find('\n') + 1));
  const Ran ran = lithe({"merge", first, second, "-o", (at / "out.jsonl").string()});
  EXPECT_EQ(ran.code, 3);
  EXPECT_NE(ran.err.find("has 1 lines for 3 requests"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace lithe::cli
