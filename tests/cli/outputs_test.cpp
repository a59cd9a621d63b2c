#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "cli/program.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

const std::string kTrace = "lithe trace demo --prompt x --max-tokens 0 -o ";
const std::string kMap = "lithe run demo -n 1 'what shape is in the image?' ";

fs::path created(const std::string& name) {
  const fs::path folder = scratch() / name;
  fs::create_directories(folder);
  return folder;
}

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(Outputs, DevicesPipesAndLinksStayWhatTheyAre) {
  const fs::path folder = created("outputs");
  std::ofstream(folder / "target") << "old";
  fs::create_symlink("target", folder / "link");
  EXPECT_EQ(shell(kTrace + "link", folder).code, 0);
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_GT(fs::file_size(folder / "target"), 1000U);
  EXPECT_EQ(shell(kTrace + "/dev/null", folder).code, 0);
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  const Ran piped = shell("mkfifo pipe; cat pipe > read & " + kTrace + "pipe && wait", folder);
  EXPECT_EQ(piped.code, 0) << piped.err;
  EXPECT_EQ(contents(folder / "read"), contents(folder / "target"));
  const Ran out = shell(kTrace + "/dev/stdout", folder);
  EXPECT_EQ(out.out, contents(folder / "target"));
  EXPECT_EQ(shell(kTrace + "/dev/full", folder).code, 3);
}

TEST(Outputs, InputsAreNotOverwritten) {
  const fs::path folder = created("inputs");
  for (const char* name : {"a.png", "a-2.png"}) fs::copy_file(kPicture, folder / name);
  fs::create_hard_link(folder / "a.png", folder / "hard");
  fs::copy(LITHE_SOURCE_DIR "/models/easyvqa-pmod", folder / "model", fs::copy_options::recursive);
  std::ofstream(folder / "prompt") << "x";
  const std::string before = contents(folder / "model/model.safetensors");
  const std::string commands[] = {kMap + "--image a.png --heat-map a.png",
                                  kMap + "--image a.png --heat-map hard",
                                  kMap + "--image a.png --image a-2.png --heat-map a.png",
                                  "lithe demo --no-wide --image a.png --heat-map ./a.png",
                                  "lithe trace model --prompt x --max-tokens 0 -o model/model.safetensors",
                                  "lithe trace model --prompt x --max-tokens 0 -o model/config.json",
                                  "lithe trace demo --prompt-file prompt -o prompt"};
  for (const std::string& command : commands) {
    const Ran ran = shell(command, folder);
    EXPECT_EQ(ran.code, 2) << command << ran.err;
    EXPECT_NE(ran.err.find("is an input of this command"), std::string::npos) << ran.err;
    EXPECT_EQ(lines(ran.err), 1U) << ran.err;
    EXPECT_TRUE(ran.out.empty()) << "it was refused after work: " << ran.out;
  }
  EXPECT_EQ(contents(folder / "a.png"), contents(kPicture));
  EXPECT_EQ(contents(folder / "a-2.png"), contents(kPicture));
  EXPECT_EQ(contents(folder / "model/model.safetensors"), before);
}

// The second picture's map is "name-2.png", which nobody named.
TEST(Outputs, TheMapOfASecondPictureObeysTheSameRules) {
  const fs::path folder = created("second");
  fs::copy_file(kPicture, folder / "map-2.png");
  const Ran ran = shell(kMap + "--image map-2.png --image map-2.png --heat-map map.png", folder);
  EXPECT_EQ(ran.code, 2) << ran.err;
  EXPECT_EQ(contents(folder / "map-2.png"), contents(kPicture));
  EXPECT_FALSE(fs::exists(folder / "map.png"));
}

TEST(Outputs, NamesThatCannotBeFiles) {
  const fs::path folder = created("names");
  const std::string picture = "--image '" + kPicture + "' --heat-map ";
  for (const std::string& name : {std::string("''"), std::string(300, 'x'), std::string("."), std::string("no/")}) {
    for (const std::string& command : {kTrace, kMap + picture, std::string("lithe demo --no-wide --heat-map ")}) {
      const Ran ran = shell(command + name, folder);
      EXPECT_EQ(ran.code, name == "." ? 3 : 2) << command << name << ran.err;
      EXPECT_EQ(lines(ran.err), 1U) << ran.err;
      EXPECT_TRUE(ran.out.empty()) << ran.out;
      EXPECT_EQ(ran.err.find("filesystem error"), std::string::npos) << ran.err;
    }
  }
}

TEST(Outputs, MissingFoldersAreCreated) {
  const fs::path folder = created("missing");
  std::ofstream(folder / "in.jsonl") << R"({"id": 1, "prompt": "x", "max_tokens": 1})";
  const std::string picture = "--image '" + kPicture + "' --heat-map ";
  for (const std::string& command :
       {kTrace + "a/b/out", kMap + picture + "c/d/out", std::string("lithe batch demo in.jsonl -o e/f/out"),
        std::string("lithe convert demo -o g/h/out")}) {
    const Ran ran = shell(command, folder);
    EXPECT_EQ(ran.code, 0) << command << ran.err;
  }
  for (const char* out : {"a/b/out", "c/d/out", "e/f/out", "g/h/out"}) EXPECT_TRUE(fs::exists(folder / out)) << out;
}

// Other programs take it for stdout; here it would be a file that nobody asked for.
TEST(Outputs, ADashIsRefused) {
  const fs::path folder = created("dash");
  std::ofstream(folder / "in.jsonl") << R"({"id": 1, "prompt": "x"})";
  for (const std::string& command :
       {kTrace + "-", std::string("lithe batch demo in.jsonl -o -"), std::string("lithe demo --no-wide --heat-map -"),
        std::string("lithe convert demo -o -"), std::string("lithe fold demo -o -")}) {
    const Ran ran = shell(command, folder);
    EXPECT_EQ(ran.code, 2) << command << ran.err;
    EXPECT_NE(ran.err.find("The output - would be a f"), std::string::npos) << ran.err;
    EXPECT_EQ(lines(ran.err), 1U) << ran.err;
  }
  EXPECT_FALSE(fs::exists(folder / "-"));
}

// The pipe is opened after the model, so the file is cut short between its mapping and its use.
TEST(Outputs, AWeightFileThatShrinksDuringARunIsNamed) {
  const fs::path folder = created("shrinks");
  fs::copy(LITHE_TEST_DATA "/golden/hf_llava15/checkpoint", folder / "model", fs::copy_options::recursive);
  const Ran ran = shell(
      "mkfifo in; lithe batch model in -o out & lithe=$!; exec 3>in; truncate -s 4096 model/model.safetensors; "
      "echo '{\"id\": 1, \"prompt\": \"hi\"}' >&3; exec 3>&-; wait $lithe",
      folder);
  EXPECT_EQ(ran.code, 3) << ran.err;
  EXPECT_NE(ran.err.find("model/model.safetensors: the file became shorter"), std::string::npos) << ran.err;
  EXPECT_EQ(lines(ran.err), 1U) << ran.err;
}

TEST(Batch, InputsWithoutAnEndEnd) {
  const fs::path folder = created("endless");
  const Ran device = shell("lithe batch demo /dev/zero -o out", folder);
  EXPECT_EQ(device.code, 3) << device.err;
  EXPECT_NE(device.err.find("/dev/zero: is a device"), std::string::npos) << device.err;
  EXPECT_EQ(lines(device.err), 1U) << device.err;
  const Ran pipe = shell("cat /dev/zero | lithe batch demo /dev/stdin -o out; code=$?; cat out; exit $code", folder);
  EXPECT_EQ(pipe.code, 3) << pipe.err;
  EXPECT_NE(pipe.out.find("does not end within 80 MiB"), std::string::npos) << pipe.out;
}

}  // namespace
}  // namespace lithe::cli
