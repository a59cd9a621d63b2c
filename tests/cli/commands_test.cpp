#include <gtest/gtest.h>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "cli/program.h"
#include "cli/statistics.h"
#include "cli/text_table.h"
#include "image/decode.h"
#include "io/safetensors.h"

namespace lithe::cli {
namespace {

TEST(Trace, WritesEveryIntermediate) {
  const auto file = scratch() / "trace.safetensors";
  const Ran ran = lithe({"trace", "demo", "--image", kPicture, "--prompt", "is there a circle?", "--max-tokens", "5",
                         "--ignore-eos", "-o", file.string()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto tensors = io::open_safetensors(file).tensors;
  EXPECT_EQ(tensors.at("images.0.pixel_values").shape, (std::vector<int64_t>{1, 3, 64, 64}));
  EXPECT_EQ(tensors.at("tokens").shape, std::vector<int64_t>{5});
  EXPECT_EQ(tensors.at("step_logits").shape, (std::vector<int64_t>{5, 512}));
  EXPECT_EQ(tensors.at("layers.3.router_weight").shape, std::vector<int64_t>{64});
  EXPECT_EQ(tensors.at("kv_lengths.end").values<int64_t>()[0],
            tensors.at("kv_lengths.prefill").values<int64_t>()[0] + 4);
  EXPECT_EQ(tensors.at("layers.11.hidden").shape.at(0), tensors.at("inputs_embeds").shape.at(0));
}

// A newline at the end of a prompt file is part of the prompt.
TEST(Trace, TakesAPromptFileByteForByte) {
  const auto prompt = scratch() / "prompt.txt", out = scratch() / "trace.safetensors";
  const auto ids = [&](const std::string& text) {
    std::ofstream(prompt, std::ios::binary) << text;
    const Ran ran = lithe(
        {"trace", "demo", "--prompt-file", prompt.string(), "--raw-prompt", "--max-tokens", "0", "-o", out.string()});
    EXPECT_EQ(ran.code, 0) << ran.err;
    return io::open_safetensors(out).tensors.at("input_ids").count();
  };
  EXPECT_EQ(ids("what\n\n"), ids("what") + 2);
}

TEST(Trace, RefusesWithoutLeavingAFile) {
  const auto out = scratch() / "refused.safetensors";
  EXPECT_EQ(lithe({"trace", "demo", "-o", out.string()}).code, 2);
  EXPECT_EQ(lithe({"trace", "demo", "--prompt", "a", "--prompt-file", "b", "-o", out.string()}).code, 2);
  EXPECT_EQ(lithe({"trace", "demo", "--prompt-file", "no-such.txt", "-o", out.string()}).code, 3);
  EXPECT_EQ(lithe({"trace", "demo", "--prompt", "a"}).code, 2);
  EXPECT_FALSE(std::filesystem::exists(out));
}

double teraflops(const Json& total) {
  return total.at("flops").get<double>() / 1e12;
}

// The figures of the publication: 39.46 -> 21.94 TFLOPs (55.6 %) and 8.38 -> 4.92, vision KV 53.8 %.
TEST(Inspect, CountsThePublishedShapes) {
  const auto total = [](const char* shape, const char* vision) {
    const Ran ran = lithe(
        {"inspect", "--shape", shape, "--plan", "p-mod", "--vision-tokens", vision, "--text-tokens", "40", "--json"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    return parse_json(ran.out, "stdout").at("cost");
  };
  const Json next = total("llava-next-7b", "2880");
  EXPECT_NEAR(teraflops(next.at("dense")), 42.0, 0.05);
  EXPECT_NEAR(teraflops(next.at("total")), 23.4, 0.05);
  const Json base = total("llava-1.5-7b", "576");
  EXPECT_NEAR(teraflops(base.at("dense")), 8.47, 0.005);
  EXPECT_NEAR(teraflops(base.at("total")), 4.96, 0.005);
  for (const Json& cost : {next, base}) {
    const double share =
        cost.at("total").at("vision_kv_tokens").get<double>() / cost.at("dense").at("vision_kv_tokens").get<double>();
    EXPECT_GE(share, 0.536);
    EXPECT_LE(share, 0.538);
  }
}

TEST(Inspect, PrintsModelsAndShapes) {
  const Ran model = lithe({"inspect", "demo"});
  EXPECT_EQ(model.code, 0) << model.err;
  for (const char* words : {"family", "weights", "memory", "31 of 64", "KV cache"}) {
    EXPECT_NE(model.out.find(words), std::string::npos) << model.out;
  }
  const Ran shape = lithe({"inspect", "--shape", "llava-1.5-13b"});
  EXPECT_EQ(shape.code, 0) << shape.err;
  EXPECT_NE(shape.out.find("13.3"), std::string::npos) << shape.out;
  EXPECT_EQ(lithe({"inspect"}).code, 2);
  EXPECT_EQ(lithe({"inspect", "demo", "--shape", "llava-1.5-7b"}).code, 2);
  EXPECT_EQ(lithe({"inspect", "--shape", "llava-9"}).code, 2);
  EXPECT_EQ(lithe({"inspect", "demo", "--vision-tokens", "-5"}).code, 2);
}

TEST(Inspect, CountsHalfTheBytesOfABfloat16Cache) {
  const auto cost = [](const std::vector<std::string>& subject, const char* kv) {
    std::vector<std::string> arguments = {"inspect", "--json", "--kv", kv};
    arguments.insert(arguments.end(), subject.begin(), subject.end());
    return parse_json(lithe(arguments).out, "stdout").at("cost");
  };
  for (const std::vector<std::string>& subject :
       {std::vector<std::string>{"demo"}, {"--shape", "llava-1.5-7b", "--plan", "fastv"}}) {
    const Json whole = cost(subject, "float32"), half = cost(subject, "bfloat16");
    for (const char* which : {"total", "dense"}) {
      EXPECT_GT(half.at(which).at("kv_bytes"), 0);
      EXPECT_EQ(2 * half.at(which).at("kv_bytes").get<int64_t>(), whole.at(which).at("kv_bytes").get<int64_t>());
    }
    for (size_t layer = 0; layer < whole.at("layers").size(); ++layer)
      EXPECT_EQ(2 * half.at("layers")[layer].at("kv_bytes").get<int64_t>(),
                whole.at("layers")[layer].at("kv_bytes").get<int64_t>());
  }
}

TEST(Bench, HoldsHalfTheBytesInABfloat16Cache) {
  const auto bench = [](const char* kv) {
    return parse_json(lithe({"bench", "demo", "-r", "1", "--warm-up", "0", "--json", "--kv", kv}).out, "stdout");
  };
  const Json whole = bench("float32"), half = bench("bfloat16");
  for (const char* key : {"reference_kv_bytes", "plan_kv_bytes"}) {
    EXPECT_GT(half.at(key), 0);
    EXPECT_EQ(2 * half.at(key).get<int64_t>(), whole.at(key).get<int64_t>());
  }
}

TEST(Bench, ComparesThePlanWithDense) {
  const Ran ran = lithe({"bench", "demo", "--rounds", "2", "--warm-up", "0", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = parse_json(ran.out, "stdout");
  EXPECT_LT(json.at("plan_kv_bytes"), json.at("reference_kv_bytes"));
  EXPECT_EQ(json.at("tests").size(), 7U);
  const Json& prefill = json.at("tests").at(3);
  EXPECT_EQ(prefill.at("test"), "pp104");
  EXPECT_GT(prefill.at("counted_share"), 0.4);
  EXPECT_LT(prefill.at("counted_share"), 0.8);
  EXPECT_GT(prefill.at("median_ratio"), 0);
}

TEST(Bench, ComparesALayerWithoutAttentionWithItsFeedForwardNetwork) {
  const auto plan = scratch() / "off.json";
  std::ofstream(plan) << R"({"method": "eas", "layers": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]})";
  const Ran ran = lithe({"bench", "demo", "--plan", plan.string(), "--against", "feed-forward", "-r", "2", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = parse_json(ran.out, "stdout");
  EXPECT_EQ(json.at("reference"), "feed-forward");
  EXPECT_EQ(json.at("plan_kv_bytes"), 0);
  const Json& prefill = json.at("tests").at(3);
  EXPECT_EQ(prefill.at("counted_share"), 1);
  EXPECT_GT(prefill.at("median_ratio"), 0);
  const Ran more = lithe({"bench", "demo", "--against", "feed-forward"});
  EXPECT_EQ(more.code, 2);
  EXPECT_NE(more.err.find("more or less than the feed-forward network in decoder layer 0"), std::string::npos)
      << more.err;
  EXPECT_EQ(lithe({"bench", "demo", "--against", "sparse"}).code, 2);
}

TEST(Bench, RunsDenseWithAnotherModelIfThisOneLacksAttentions) {
  const std::string folded = LITHE_TEST_DATA "/golden/llava_eas/checkpoint";
  const Ran alone = lithe({"bench", folded, "-r", "1", "--warm-up", "0"});
  EXPECT_EQ(alone.code, 2);
  EXPECT_NE(alone.err.find("can't run dense"), std::string::npos) << alone.err;
  EXPECT_NE(alone.err.find("--dense-model"), std::string::npos) << alone.err;
  const Ran ran = lithe(
      {"bench", folded, "--dense-model", "demo-dense", "--vision-tokens", "64", "-r", "1", "--warm-up", "0", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = parse_json(ran.out, "stdout");
  EXPECT_EQ(json.at("reference"), "dense of easyvqa-dense");
  const Json inspected = parse_json(lithe({"inspect", "demo-dense", "--json"}).out, "stdout");
  EXPECT_EQ(json.at("reference_kv_bytes"), inspected.at("cost").at("dense").at("kv_bytes"));
  EXPECT_LT(json.at("plan_kv_bytes"), json.at("reference_kv_bytes"));
  const Ran both = lithe({"bench", "demo", "--dense-model", "demo-dense", "--against", "feed-forward"});
  EXPECT_EQ(both.code, 2);
  EXPECT_NE(both.err.find("--dense-model is for a MODEL that is compared with dense"), std::string::npos) << both.err;
}

TEST(Bench, PrintsTablesAndCsv) {
  const Ran table = lithe({"bench", "demo", "-r", "1", "--warm-up", "0"});
  ASSERT_EQ(table.code, 0) << table.err;
  for (const char* words : {"| model ", "pp104", "tg8", "A/A spread", "caches as many tokens as counted", "load"}) {
    EXPECT_NE(table.out.find(words), std::string::npos) << table.out;
  }
  const Ran csv = lithe({"bench", "demo", "-r", "1", "--warm-up", "0", "-o", "csv"});
  EXPECT_TRUE(csv.out.starts_with("model,")) << csv.out;
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 8);
  EXPECT_EQ(lithe({"bench", "demo", "-o", "xml"}).code, 2);
  EXPECT_EQ(lithe({"bench", "demo", "-r", "0"}).code, 2);
}

TEST(Bench, TimesNoPromptThatTheModelDoesNotTake) {
  for (const char* flag : {"--vision-tokens", "--decode-tokens"}) {
    const Ran ran = lithe({"bench", "demo", "--no-prefill", flag, "100000"});
    EXPECT_EQ(ran.code, 2);
    EXPECT_NE(ran.err.find("the model takes"), std::string::npos) << ran.err;
  }
}

TEST(Demo, ShowsBothModels) {
  const auto map = scratch() / "demo.png";
  const Ran ran = lithe({"demo", "--no-wide", "--heat-map", map.string()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const char* words : {"Rectangle.", "Blue.", "31 30 28 26 24 22 20 19 19", "KV cache", "demo.png"}) {
    EXPECT_NE(ran.out.find(words), std::string::npos) << ran.out;
  }
  EXPECT_GT(image::read_image(map).width, 64);
  const Ran json = lithe({"demo", "--no-wide", "--json", "--heat-map", map.string()});
  EXPECT_EQ(parse_json(json.out, "stdout").at("questions").size(), 4U);
}

TEST(Statistics, OfKnownNumbers) {
  const std::vector<double> values = {4, 1, 3, 2};
  EXPECT_DOUBLE_EQ(mean(values), 2.5);
  EXPECT_DOUBLE_EQ(median(values), 2.5);
  EXPECT_DOUBLE_EQ(minimum(values), 1);
  EXPECT_NEAR(deviation(values), 1.2909944, 1e-6);
  EXPECT_DOUBLE_EQ(deviation(std::vector<double>{7}), 0);
  EXPECT_DOUBLE_EQ(median(std::vector<double>{5, 9, 7}), 7);
}

TEST(TextTable, AlignsCharactersAndQuotesCommas) {
  const TextTable table{{"a", "b"}, {{"1.0 ± 2", "x,\"y"}, {"10", "z"}}};
  EXPECT_EQ(table.markdown(), "| a       | b    |\n|---------|------|\n| 1.0 ± 2 | x,\"y |\n|      10 | z    |\n");
  EXPECT_EQ(table.csv(), "a,b\n1.0 ± 2,\"x,\"\"y\"\n10,z\n");
}

}  // namespace
}  // namespace lithe::cli
