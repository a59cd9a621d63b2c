#include <gtest/gtest.h>
#include <cstdlib>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "cli/program.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = LITHE_SOURCE_DIR;
const fs::path kGolden = LITHE_TEST_DATA "/golden";

/// The commands of the ```sh blocks of a page; a line that ends in a backslash goes on in the next.
std::vector<std::string> examples_of(const fs::path& page) {
  std::ifstream in(page);
  std::vector<std::string> lines;
  bool inside = false, goes_on = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      inside = line == "```sh";
      continue;
    }
    if (!inside || line.empty()) continue;
    if (goes_on) {
      lines.back() += "\n" + line;
    } else {
      lines.push_back(line);
    }
    goes_on = line.ends_with('\\');
  }
  return lines;
}

/// The words that begin the lines of a list, or the lines themselves, after `head` up to the next empty line.
std::vector<std::string> listed(const std::string& text, const std::string& head, bool whole_lines) {
  std::vector<std::string> lines;
  std::istringstream in(text.substr(std::min(text.find(head), text.size())));
  std::string line;
  for (std::getline(in, line); std::getline(in, line) && line.starts_with("  ");) {
    const std::string entry = line.substr(2);
    lines.push_back(whole_lines ? entry : entry.substr(0, entry.find(' ')));
  }
  return lines;
}

/// A folder like the root of the project, with `build` in it.
fs::path root_in(const std::string& name) {
  const fs::path folder = scratch() / name;
  fs::create_directories(folder / "build");
  for (const char* below : {"models", "tests"}) fs::create_directory_symlink(kRoot / below, folder / below);
  fs::create_symlink(LITHE_BINARY, folder / "build" / "lithe");
  return folder;
}

/// Small models under the names that the examples give to a user's own, in ~, and pictures in `folder`.
void make_own_models(const fs::path& folder) {
  const fs::path home = scratch() / "home";
  fs::create_directories(home);
  const fs::path hf = kGolden / "hf_llava15/checkpoint";
  fs::copy(hf, home / "llava-1.5-7b-hf");
  fs::copy(kGolden / "llava_eas/checkpoint", home / "llava-v1.5-7b", fs::copy_options::recursive);
  fs::copy(kGolden / "llava_eas/checkpoint", home / "llava-eas", fs::copy_options::recursive);
  fs::copy(LITHE_TEST_DATA "/lora/hf", home / "my-adapter");
  fs::copy(LITHE_TEST_DATA "/lora/hf", home / "llava-v1.5-7b-lora");
  fs::copy(hf, home / "base");  // of both adapters
  std::ofstream(folder / "recipe.yaml")
      << "model_name_or_path: demo-dense\noutput_dir: tuned\ndata: train.json\nmax_steps: 2\n"
         "per_device_train_batch_size: 1\n";
  std::ofstream train(folder / "train.json");
  for (const char* head : {"[", ",", ","})  // three records, as a search keeps some of them out
    train << head << R"({"image": "models/images/901.png", "conversations": [{"from": "human", "value": )"
          << R"("<image>\nwhat is the color of the rectangle?"}, {"from": "gpt", "value": "red"}]})";
  train << "]";
  train.close();
  for (const char* picture : {"photo.jpg", "a.jpg", "b.jpg"})
    fs::copy(kRoot / "models/images/901.png", folder / picture);
  ASSERT_EQ(setenv("HOME", home.c_str(), 1), 0);
}

/// Runs an example; one that reads stdin finds a question there.
void expect_runs(const std::string& line, const fs::path& folder) {
  const Ran ran = shell("{ " + line + "\n} <<'END'\nis there a circle?\nEND", folder);
  EXPECT_EQ(ran.code, 0) << line << "\n" << ran.err;
  if (line.find(" > ") == std::string::npos) {
    EXPECT_NE(ran.out + ran.err, "") << line;
  }
}

/// Examples at 7B width take minutes, and servers do not end: of those only the flags are checked, by a last one that
/// is refused after them.
void expect_runs_or_parses(const std::string& line, const fs::path& folder) {
  if (line == "lithe demo") return expect_runs(line + " --no-wide", folder);
  if (line.starts_with("lithe serve")) {
    const Ran refused = shell(line + " --shutdown-timeout never", folder);
    EXPECT_EQ(refused.code, 2) << line;
    EXPECT_NE(refused.err.find("--shutdown-timeout is \"never\""), std::string::npos) << line << "\n" << refused.err;
    return;
  }
  if (!line.starts_with("lithe bench --shape") || line.ends_with("--rounds 1 -o json"))
    return expect_runs(line, folder);
  const Ran ran = shell(line + " --against nothing", folder);
  EXPECT_EQ(ran.code, 2) << line;
  EXPECT_NE(ran.err.find("--against is \"nothing\""), std::string::npos) << line << "\n" << ran.err;
}

TEST(Commands, ExamplesOfThePageRunAsPrinted) {
  const fs::path folder = root_in("docs");
  const std::vector<std::string> lines = examples_of(kRoot / "docs/commands.md");
  EXPECT_GE(lines.size(), 30U);
  for (const std::string& line : lines) expect_runs_or_parses(line, folder);
}

TEST(Tutorial, RunsAsPrinted) {
  const fs::path folder = root_in("tutorial");
  int64_t count = 0;
  for (const std::string& line : examples_of(kRoot / "docs/tutorial.md")) {
    if (line.starts_with("make ")) continue;
    expect_runs(line, folder);
    ++count;
  }
  EXPECT_GE(count, 10);
}

/// The shipped recipes with a few steps, and questions from models/ in place of what `make data` fetches.
void make_short_recipes(const fs::path& folder) {
  fs::create_directories(folder / "recipes");
  for (const fs::directory_entry& entry : fs::directory_iterator(kRoot / "recipes")) {
    if (!entry.is_regular_file()) continue;
    std::ostringstream whole;
    whole << std::ifstream(entry.path()).rdbuf();
    std::string text = whole.str();
    for (const auto& [printed, shorter] : std::map<std::string, std::string>{
             {"max_steps: [0-9]+", "max_steps: 2"},
             {"warmup_steps: [0-9]+", "warmup_steps: 1"},
             {"search: \\{[^}]*\\}", "search: {steps: 4, warmup_steps: 1, every_steps: 1, held_out: 4}"},
             {"batch_size: [0-9]+", "batch_size: 4"}}) {
      text = std::regex_replace(text, std::regex(printed), shorter);
    }
    std::ofstream(folder / "recipes" / entry.path().filename()) << text;
  }
  fs::create_directories(folder / "data/easy-vqa");
  fs::create_directory_symlink(kRoot / "models/images", folder / "data/easy-vqa/images");
  std::ifstream questions(kRoot / "models/answers.jsonl");
  std::ofstream data(folder / "data/easy-vqa/train.json");
  int64_t count = 0;
  for (std::string line; count < 64 && std::getline(questions, line); ++count) {
    const Json one = parse_json(line, "answers.jsonl");
    const Json turns{{{"from", "human"}, {"value", "<image>\n" + one.at("question").get<std::string>()}},
                     {{"from", "gpt"}, {"value", one.at("gold")}}};
    data << (count == 0 ? "[" : ",\n") << Json{{"image", one.at("image")}, {"conversations", turns}}.dump();
  }
  data << "]\n";
}

TEST(Tuning, RunsAsPrinted) {
  const fs::path folder = root_in("tuning");
  make_short_recipes(folder);
  int64_t count = 0;
  for (const std::string& line : examples_of(kRoot / "docs/tuning.md")) {
    if (line.starts_with("make ")) continue;
    expect_runs(line, folder);
    ++count;
  }
  EXPECT_GE(count, 9);
}

TEST(Tuning, RecipesThatThePageDoesNotRunAreGood) {
  const fs::path folder = root_in("recipes");
  make_short_recipes(folder);
  for (const char* name : {"easy-vqa-dense", "easy-vqa-lora", "easy-vqa-p-mod-eas"})
    expect_runs(concat("lithe tune recipes/", name, ".yaml --dry-run"), folder);
}

// `make demo`, `make test` and what they need are run when the project is built.
TEST(Commands, ExamplesOfReadmeAndHelpRunAsPrinted) {
  const fs::path folder = root_in("help");
  make_own_models(folder);
  std::ofstream(folder / "questions.jsonl")
      << R"({"id": 1, "image": "models/images/901.png", "prompt": "what is the color of the rectangle?"})"
      << "\n";
  int64_t count = 0;
  for (const std::string& line : examples_of(kRoot / "README.md")) {
    if (line.starts_with("make ")) continue;
    expect_runs_or_parses(line, folder);
    ++count;
  }
  EXPECT_GE(count, 2);
  fs::remove_all(folder / "tuned");  // the examples of the help tune into it too
  const std::vector<std::string> commands = listed(lithe({"--help"}).out, "Subcommands:", false);
  EXPECT_GE(commands.size(), 9U);
  for (const std::string& command : commands) {
    const std::vector<std::string> lines = listed(lithe({command, "--help"}).out, "Examples:", true);
    EXPECT_GE(lines.size(), 2U) << command;
    for (const std::string& line : lines) expect_runs_or_parses(line, folder);
  }
}

}  // namespace
}  // namespace lithe::cli
