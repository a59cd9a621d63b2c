#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>
#include <fstream>
#include <regex>

#include "base/json.h"
#include "base/vector_set.h"
#include "cli/program.h"
#include "image/decode.h"
#include "image/png.h"

namespace lithe::cli {
namespace {

const std::string kQuestion = "what is the color of the rectangle?";

// Every error is one sentence after the program's name.
void expect_refusal(const Ran& ran, int code, const std::string& words) {
  EXPECT_EQ(ran.code, code) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_TRUE(ran.err.starts_with("lithe: ")) << ran.err;
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  EXPECT_NE(ran.err.find(words), std::string::npos) << ran.err;
}

TEST(Run, AnswersAsTheReferenceDoes) {
  const Ran ran = lithe({"run", "demo", "--image", kPicture, kQuestion});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "Blue.\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(lithe({"run", "demo-dense", "--image", kPicture, kQuestion}).out, "Blue.\n");
}

TEST(Run, TakesThePromptFromStdin) {
  const Ran ran = lithe({"run", "demo", "--image", kPicture}, kQuestion + "\n");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "Blue.\n");
}

TEST(Run, RawPromptIsTakenAsItIs) {
  const std::string prompt =
      "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
      "and polite answers to the user's questions. USER: <image>\n" +
      kQuestion + " ASSISTANT:";
  EXPECT_EQ(lithe({"run", "demo", "--raw-prompt", "--image", kPicture}, prompt).out, "Blue.\n");
  expect_refusal(lithe({"run", "demo", "--raw-prompt", "--image", kPicture, "no mark"}), 2, "image");
  expect_refusal(lithe({"run", "demo", "--raw-prompt", "--system", "x", "y"}), 2, "--system");
}

TEST(Run, JsonHoldsTokensTimesAndCache) {
  const Ran ran = lithe({"run", "demo", "--json", "--image", kPicture, kQuestion});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = parse_json(ran.out, "stdout");
  EXPECT_EQ(json.at("answer"), "Blue.");
  EXPECT_EQ(json.at("tokens"), Json({446, 457, 2}));
  EXPECT_EQ(json.at("stop"), "eos");
  EXPECT_EQ(json.at("vision_tokens"), 64);
  const auto rows = json.at("kv_tokens").get<std::vector<int64_t>>();
  const int64_t text = json.at("prompt_tokens").get<int64_t>() - 64;
  const std::vector<int64_t> kept = {64, 64, 64, 31, 30, 28, 26, 24, 22, 20, 19, 19};
  ASSERT_EQ(rows.size(), kept.size());
  for (std::size_t l = 0; l < kept.size(); ++l) EXPECT_EQ(rows[l], kept[l] + text) << l;
  EXPECT_EQ(json.at("kept_vision_tokens"), Json(kept));
  EXPECT_EQ(json.at("model"), "easyvqa-pmod");
  EXPECT_EQ(json.at("plan"), "p-mod");
  EXPECT_EQ(json.at("new_tokens"), 3);
  EXPECT_GT(json.at("tokens_per_second"), 0);
}

TEST(Run, JsonCountsTheTokensKeptOfAllPictures) {
  const Ran ran = lithe({"run", "demo", "--json", "-n", "1", "--image", kPicture, "--image", kPicture, kQuestion});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = parse_json(ran.out, "stdout");
  EXPECT_EQ(json.at("vision_tokens"), 128);
  const int64_t text = json.at("prompt_tokens").get<int64_t>() - 128;
  for (std::size_t l = 0; l < json.at("kv_tokens").size(); ++l)
    EXPECT_EQ(json.at("kept_vision_tokens").at(l).get<int64_t>() + text, json.at("kv_tokens").at(l)) << l;
}

TEST(Run, SamplingIsRepeatable) {
  const auto sampled = [](const std::string& seed) {
    return lithe({"run", "demo", "--image", kPicture, "--temp", "3", "-n", "24", "--seed", seed, kQuestion}).out;
  };
  EXPECT_EQ(sampled("7"), sampled("7"));
  EXPECT_NE(sampled("7"), sampled("8"));
  expect_refusal(lithe({"run", "demo", "--top-p", "-1", "x"}), 2, "top-p");
}

TEST(Run, StopsInFrontOfAStopText) {
  EXPECT_EQ(lithe({"run", "demo", "--image", kPicture, "--stop", ".", kQuestion}).out, "Blue\n");
}

TEST(Run, WritesAHeatMap) {
  const auto file = scratch() / "kept.png";
  const Ran ran = lithe({"run", "demo", "--image", kPicture, "--heat-map", file.string(), "-v", kQuestion});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.err.find("wrote " + file.string()), std::string::npos);
  EXPECT_NE(ran.err.find("prefill"), std::string::npos);
  const image::Image map = image::read_image(file);
  EXPECT_EQ(map.width, 1280);
  EXPECT_GT(map.height, 800);
  expect_refusal(lithe({"run", "demo", "--plan", "dense", "--image", kPicture, "--heat-map", "x.png", kQuestion}), 2,
                 "dense");
  expect_refusal(lithe({"run", "demo", "--heat-map", "x.png", kQuestion}), 2, "picture");
}

TEST(Run, RefusesAHeatMapBeforeTheAnswer) {
  // The map would be written over the picture, also under another name of it.
  const auto picture = scratch() / "own.png", link = scratch() / "link.png";
  std::filesystem::copy_file(kPicture, picture, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::remove(link);
  std::filesystem::create_symlink(picture, link);
  for (const auto& map : {picture, link}) {
    const Ran ran = lithe({"run", "demo", "--image", picture.string(), "--heat-map", map.string(), kQuestion});
    expect_refusal(ran, 2, "own.png");
    EXPECT_EQ(ran.out, "");
  }
  EXPECT_EQ(std::filesystem::file_size(picture), std::filesystem::file_size(kPicture));
  expect_refusal(lithe({"run", "demo", "--image", kPicture, "--heat-map", "", kQuestion}), 2, "empty");
  // Plans under which every vision token runs every layer: of the last, the first rule governs.
  const auto shadowed = scratch() / "shadowed.json";
  std::ofstream(shadowed) << R"({"layers": [{"layer": 1, "rules": [
      {"group": "all", "keep_share": 1}, {"group": "vision", "keep_share": 0.5, "by": "uniform"}]}]})";
  for (const std::string& plan :
       {std::string("dense"), std::string("vision-attention-skip"), std::string("kv-compression"), shadowed.string()}) {
    const Ran ran = lithe({"run", "demo", "--plan", plan, "--image", kPicture, "--heat-map", "x.png", kQuestion});
    expect_refusal(ran, 2, "leaves no vision token out");
    EXPECT_EQ(ran.out, "");
  }
}

TEST(Run, DrawsAStripThinnerThanAPatch) {
  const auto picture = scratch() / "strip.png", file = scratch() / "strip-map.png";
  const std::vector<std::byte> png = image::encode_png(image::Image(3000, 7, 200, 30, 30));
  std::ofstream(picture, std::ios::binary).write(reinterpret_cast<const char*>(png.data()), std::ssize(png));
  const Ran ran = lithe({"run", LITHE_SOURCE_DIR "/tests/data/golden/hf_llavanext/checkpoint", "--image",
                         picture.string(), "--plan", "uniform", "--heat-map", file.string(), "-n", "2", kQuestion});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(image::read_image(file).width, 1280);
}

TEST(Run, APlanChangesWhatIsKept) {
  const Ran ran = lithe({"run", "demo", "--json", "--plan", "dense", "--image", kPicture, kQuestion});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = parse_json(ran.out, "stdout");
  const Json rows = json.at("kv_tokens");
  for (const Json& row : rows) EXPECT_EQ(row, json.at("prompt_tokens"));
}

TEST(Run, RefusesInOneSentence) {
  expect_refusal(lithe({"run", "demo", "--image", kPicture}), 2, "prompt");
  expect_refusal(lithe({"run", "no-such-model", "x"}), 3, "no-such-model");
  expect_refusal(lithe({"run", "demo", "--image", "no-such.png", "x"}), 3, "no-such.png");
  expect_refusal(lithe({"run", "demo", "--image", LITHE_SOURCE_DIR "/models/README.md", "x"}), 3, "README.md");
  expect_refusal(lithe({"run", "demo", "--plan", "no-such-plan", "x"}), 2, "no-such-plan");
  expect_refusal(lithe({"run", "demo", "--weights", "int3", "x"}), 2, "int3");
  expect_refusal(lithe({"run", "demo", "--weights", "float8", "x"}), 2, "float8");
  expect_refusal(lithe({"run", "demo", "--threads", "-1", "x"}), 2, "threads");
  expect_refusal(lithe({"run", "demo", "--device", "tpu", "x"}), 2, "tpu");
  expect_refusal(lithe({"run", "demo", "--device", "cuda", "x"}), 2, "cuda");
  expect_refusal(lithe({"fold", "demo", "-o", "folded", "--device", "cuda"}), 2, "leave out --device");
  expect_refusal(lithe({"inspect", "--shape", "llava-1.5-7b", "--device", "cuda"}), 2, "leave out --device");
  expect_refusal(lithe({"convert", "demo", "--to", "hf", "-o", "converted", "--device", "cuda"}), 2,
                 "leave out --device");
  expect_refusal(lithe({"run", "demo", "--no-such-flag", "x"}), 2, "--no-such-flag");
  expect_refusal(lithe({"run", LITHE_SOURCE_DIR "/models/images", "x"}), 3, "config.json");
}

TEST(Program, HelpNamesWhatThereIs) {
  const Ran help = lithe({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const std::string command :
       {"run", "batch", "trace", "inspect", "demo", "bench", "fold", "convert", "quantize"}) {
    EXPECT_TRUE(std::regex_search(help.out, std::regex("\n +" + command + " "))) << help.out;
    const Ran own = lithe({command, "--help"});
    EXPECT_EQ(own.code, 0);
    EXPECT_NE(own.out.find("Examples:"), std::string::npos) << own.out;
    for (const char* flag : {"--threads", "--device", "--seed"}) {
      EXPECT_NE(own.out.find(flag), std::string::npos) << command;
    }
    // `convert` refuses it.
    EXPECT_EQ(own.out.find("--weights") == std::string::npos, command == "convert") << command;
  }
  EXPECT_TRUE(lithe({"--version"}).out.starts_with("lithe 0."));
  EXPECT_EQ(lithe({}).code, 2);
  expect_refusal(lithe({"no-such-command"}), 2, "no-such-command");
}

TEST(Program, LitheCpuChoosesTheVectorSet) {
  const auto run = [](const std::string& set, const std::string& rest) {
    return shell("LITHE_PRODUCT=auto LITHE_CPU=" + set + " lithe " + rest, LITHE_SOURCE_DIR);
  };
  const std::string question = "run demo --image models/images/901.png 'what is the color of the rectangle?'";
  for (const VectorSet set : processor_vector_sets()) {
    const std::string name = name_of(set);
    EXPECT_TRUE(run(name, "--version").out.ends_with("\nvector set " + name + "\n"));
    EXPECT_EQ(run(name, question).out, "Blue.\n") << name;
  }
  const std::string best = name_of(processor_vector_sets().back());
  for (const char* automatic : {"auto", ""})
    EXPECT_TRUE(run(automatic, "--version").out.ends_with("\nvector set " + best + "\n"));
  const Ran wrong = run("sse9", question);
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(
      wrong.err.find(
          "LITHE_CPU is \"sse9\"; it must be auto or one of default, avx2, avx512, avx512_vnni, avx512_bf16, amx."),
      std::string::npos)
      << wrong.err;
  if (processor_vector_sets().back() == VectorSet::amx) return;
  const Ran lacking = run("amx", question);
  EXPECT_EQ(lacking.code, 2);
  EXPECT_NE(lacking.err.find("LITHE_CPU asks for amx, which this processor lacks; it has default"), std::string::npos)
      << lacking.err;
}

TEST(Run, AVeryLowTemperatureIsGreedy) {
  for (const char* temperature : {"0", "1e-3", "1e-308"}) {
    const Ran ran = lithe(
        {"run", "demo", "--image", "models/images/901.png", "--temp", temperature, "what shape is in the image?"});
    EXPECT_EQ(ran.out, "Rectangle.\n") << temperature << ran.err;
  }
}

// Ctrl-C in the middle of a long answer: the answer ends, the line is closed, the code says so.
TEST(Run, CtrlCEndsTheAnswer) {
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    dup2(pipes[1], STDOUT_FILENO);
    close(pipes[0]);
    execl(LITHE_BINARY, "lithe", "run", LITHE_TEST_DATA "/golden/hf_llava15/checkpoint", "--raw-prompt", "-n", "3900",
          "USER: What is the capital of France? ASSISTANT:", nullptr);
    _exit(127);
  }
  close(pipes[1]);
  std::string out(1, '\0');
  ASSERT_EQ(read(pipes[0], out.data(), 1), 1);
  kill(child, SIGINT);
  char buffer[4096];
  for (ssize_t n = 0; (n = read(pipes[0], buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<std::size_t>(n));
  close(pipes[0]);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_TRUE(out.ends_with('\n'));
}

}  // namespace
}  // namespace lithe::cli
