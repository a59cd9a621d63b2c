#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "io/safetensors.h"
#include "text/support.h"

namespace lithe::text {
namespace {

using Ids = std::vector<int64_t>;

Ids ids_in(const io::SafetensorsFile& file, const std::string& name) {
  const auto values = file.tensors.at(name).values<int32_t>();
  return Ids(values.begin(), values.end());
}

std::string prompt_of(const std::string& name, const Json& sample) {
  std::ifstream in(golden(name) / sample.at("prompt_file").get<std::string>(), std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Runs of the image token are one mark each: pictures stand apart in these prompts.
Ids collapse(const Ids& ids, int64_t image) {
  Ids result;
  for (const int64_t id : ids) {
    if (id != image) {
      result.push_back(id);
    } else if (result.empty() || result.back() != kImageId) {
      result.push_back(kImageId);
    }
  }
  return result;
}

void expect_case(const std::string& name, Dialect dialect) {
  SCOPED_TRACE(name);
  const Json json = read_json_file(golden(name) / "case.json");
  const auto expected = io::open_safetensors(golden(name) / "expected.safetensors");
  const Tokenizer tokenizer = Tokenizer::open(golden(name) / "checkpoint");
  const int64_t image = tokenizer.id_of(kImageMark).value_or(kImageId);
  const Json& samples = json.at("samples");
  ASSERT_GE(samples.size(), 3u);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const std::string s = concat("s", i, ".");
    EXPECT_EQ(tokenizer.encode_with_images(prompt_of(name, samples[i]), dialect),
              collapse(ids_in(expected, s + "input_ids"), image));
    const Ids answer = ids_in(expected, s + "greedy_tokens");
    EXPECT_EQ(tokenizer.decode(answer, true), samples[i].at("greedy_text").get<std::string>());
  }
}

TEST(Tokenizer, GoldenPrompts) {
  for (const char* name : {"pmod_llava15", "pmod_llavanext", "liuhaotian_llava15"})
    expect_case(name, Dialect::original);
  for (const char* name : {"hf_llava15", "hf_llavanext"}) expect_case(name, Dialect::hf);
}

TEST(Tokenizer, SlowTokenizerTexts) {
  for (const bool legacy : {false, true}) {
    const TemporaryFolder folder;
    folder.copy(golden("conversations_tokenizer/tokenizer.model"));
    folder.copy(golden("conversations_tokenizer/special_tokens_map.json"));
    folder.write("tokenizer_config.json", legacy ? R"({"legacy": true})" : R"({"legacy": false})");
    const Tokenizer tokenizer = Tokenizer::open(folder.path());
    for (const Json& entry : conversations().at("tokenization")) {
      const auto text = entry.at("text").get<std::string>();
      EXPECT_EQ(tokenizer.encode(text, true),
                entry.at(legacy ? "ids_slow_legacy_true" : "ids_slow_legacy_false").get<Ids>())
          << text;
      if (!legacy) {
        EXPECT_EQ(tokenizer.encode_with_images(text, Dialect::original),
                  entry.at("ids_tokenizer_image_token").get<Ids>())
            << text;
      }
    }
  }
}

// Without tokenizer.model, tokenizer.json stands in for the slow tokenizer between marks.
TEST(Tokenizer, JsonStandsInForTheSlowTokenizer) {
  const TemporaryFolder folder;
  folder.copy(golden("conversations_tokenizer/tokenizer.json"));
  folder.copy(golden("conversations_tokenizer/tokenizer_config.json"));
  const Tokenizer tokenizer = Tokenizer::open(folder.path());
  int compared = 0;
  for (const Json& entry : conversations().at("tokenization")) {
    const auto text = entry.at("text").get<std::string>();
    EXPECT_EQ(tokenizer.encode_with_images(text, Dialect::original), entry.at("ids_tokenizer_image_token").get<Ids>())
        << '"' << text << '"';
    ++compared;
  }
  EXPECT_EQ(compared, 23);
}

TEST(Tokenizer, ChatTemplateIds) {
  const Tokenizer tokenizer = Tokenizer::open(golden("hf_llava15/checkpoint"));
  const auto image = tokenizer.id_of(kImageMark);
  ASSERT_TRUE(image);
  for (const Json& entry : conversations().at("hf_chat_template").at("conversations")) {
    Ids expected = entry.at("input_ids_unexpanded").get<Ids>();
    const std::string prompt = entry.at("prompt_full").get<std::string>();
    EXPECT_EQ(tokenizer.encode(prompt, false), expected) << prompt;
  }
}

TEST(Tokenizer, KnowsItsTokens) {
  const Tokenizer slow = Tokenizer::open(golden("pmod_llava15/checkpoint"));
  EXPECT_EQ(slow.size(), 400);
  EXPECT_EQ(slow.bos(), 1);
  EXPECT_EQ(slow.eos(), 2);
  EXPECT_EQ(slow.pad(), 0);
  EXPECT_EQ(slow.unk(), 0);
  EXPECT_EQ(slow.bos_text(), "<s>");
  EXPECT_TRUE(slow.is_special(2));
  EXPECT_FALSE(slow.is_special(300));
  EXPECT_EQ(slow.id_of(slow.token_of(300)), 300);
  EXPECT_EQ(slow.id_of("no such token"), std::nullopt);
  EXPECT_EQ(refusal([&] { slow.token_of(400); }).first, Fault::bad_request);

  const Tokenizer fast = Tokenizer::open(golden("hf_llava15/checkpoint"));
  EXPECT_EQ(fast.size(), 402);
  EXPECT_EQ(fast.id_of("<image>"), 400);
  EXPECT_EQ(fast.pad(), 401);
  EXPECT_TRUE(fast.is_special(400));
}

TEST(Tokenizer, BytesOfTokensMakeTheText) {
  for (const char* name : {"pmod_llava15", "hf_llava15"}) {
    const Tokenizer tokenizer = Tokenizer::open(golden(name) / "checkpoint");
    for (const std::string text : {"a wooden pier, twice", "\n\ttabs\n", "\u65E5\u672C \U0001F600", "x  y"}) {
      std::string bytes;
      for (const int64_t id : tokenizer.encode(text, false)) bytes += tokenizer.bytes_of(id);
      EXPECT_EQ(bytes.substr(bytes.starts_with(' ') ? 1 : 0), text) << name;
    }
    EXPECT_EQ(tokenizer.bytes_of(*tokenizer.id_of("<0xE6>")), "\xE6");
    EXPECT_EQ(tokenizer.bytes_of(2), "</s>");
    EXPECT_EQ(tokenizer.bytes_of(kImageId), "");
    EXPECT_TRUE(tokenizer.is_added(2));
    EXPECT_FALSE(tokenizer.is_added(300));
  }
}

TEST(Tokenizer, BosComesOnce) {
  const Tokenizer fast = Tokenizer::open(golden("hf_llava15/checkpoint"));
  const Ids ids = fast.encode_with_images("<s>USER: hi", Dialect::hf);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 1), 1);
  EXPECT_EQ(ids, fast.encode("<s>USER: hi", false));
  EXPECT_EQ(fast.encode_with_images("", Dialect::hf), Ids{1});
}

TEST(Tokenizer, AddedTokensOfSmallFiles) {
  const TemporaryFolder folder;
  folder.copy(golden("conversations_tokenizer/tokenizer.model"));
  folder.write("tokenizer_config.json", R"({"legacy": false, "added_tokens_decoder":
      {"401": {"content": "<wide>", "lstrip": true, "rstrip": true, "special": true}}})");
  folder.write("added_tokens.json", R"({"<im_start>": 400})");
  const Tokenizer tokenizer = Tokenizer::open(folder.path());
  EXPECT_EQ(tokenizer.size(), 402);
  const Ids ids = tokenizer.encode("hi<im_start>hi", false);
  EXPECT_NE(std::find(ids.begin(), ids.end(), 400), ids.end());
  EXPECT_EQ(tokenizer.decode(ids, true), "hi <im_start> hi");
  // The added token swallows the spaces around it.
  EXPECT_EQ(tokenizer.encode("hi  <wide>  hi", false), tokenizer.encode("hi<wide>hi", false));
  EXPECT_FALSE(tokenizer.is_special(400));
  EXPECT_TRUE(tokenizer.is_special(401));
}

TEST(Tokenizer, BrokenUtf8BecomesReplacement) {
  for (const char* name : {"pmod_llava15", "hf_llava15"}) {
    const Tokenizer tokenizer = Tokenizer::open(golden(name) / "checkpoint");
    EXPECT_EQ(tokenizer.encode("a\xE6\x9D"
                               "b\xFF",
                               true),
              tokenizer.encode("a\uFFFDb\uFFFD", true));
    const std::string zero("a\0b", 3);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(zero, false), true), zero);
  }
}

TEST(Tokenizer, LongTexts) {
  const Tokenizer tokenizer = Tokenizer::open(golden("hf_llava15/checkpoint"));
  EXPECT_EQ(refusal([&] { tokenizer.encode(std::string((4 << 20) + 1, 'a'), true); }).first, Fault::bad_request);
  const Ids ids = tokenizer.encode(std::string(1 << 18, ' '), true);
  EXPECT_GT(ids.size(), 1000u);
}

TEST(Tokenizer, UnknownIdsGiveNothing) {
  for (const char* name : {"pmod_llava15", "hf_llava15"}) {
    const Tokenizer tokenizer = Tokenizer::open(golden(name) / "checkpoint");
    Ids ids = tokenizer.encode("a pier", false);
    const std::string text = tokenizer.decode(ids, true);
    ids.insert(ids.begin() + 1, {kImageId, 1 << 20, int64_t{1} << 40});
    EXPECT_EQ(tokenizer.decode(ids, true), text);
  }
}

TEST(Tokenizer, ThreadsShareOne) {
  const Tokenizer tokenizer = Tokenizer::open(golden("hf_llava15/checkpoint"));
  const Ids expected = tokenizer.encode("A wooden pier on a calm lake.", true);
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) result = tokenizer.encode("A wooden pier on a calm lake.", true);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, expected);
}

TEST(TextStream, SumsToDecode) {
  std::mt19937 random(7);
  for (const char* name : {"pmod_llava15", "hf_llava15"}) {
    const Tokenizer tokenizer = Tokenizer::open(golden(name) / "checkpoint");
    for (int round = 0; round < 300; ++round) {
      Ids ids(random() % 40);
      // Half of the ids are bytes, so that characters are begun, broken and finished.
      for (int64_t& id : ids) id = random() % 2 ? random() % 259 : random() % tokenizer.size();
      for (const bool skip : {true, false}) {
        TextStream stream(tokenizer, skip);
        std::string sum;
        for (const int64_t id : ids) sum += stream.push(id);
        sum += stream.finish();
        ASSERT_EQ(sum, tokenizer.decode(ids, skip)) << name << " round " << round;
      }
    }
  }
}

TEST(TextStream, WholeCharactersAsTheyCome) {
  const Tokenizer tokenizer = Tokenizer::open(golden("pmod_llava15/checkpoint"));
  const std::string text = "na\u00EFve \u6771\u4EAC \U0001F642!";
  TextStream stream(tokenizer);
  std::string sum;
  int pieces = 0;
  for (const int64_t id : tokenizer.encode(text, true)) {
    const std::string piece = stream.push(id);
    EXPECT_EQ(piece.find("\uFFFD"), std::string::npos);
    pieces += !piece.empty();
    sum += piece;
  }
  EXPECT_EQ(sum, text);
  EXPECT_GE(pieces, 8);
  EXPECT_EQ(stream.finish(), "");
}

}  // namespace
}  // namespace lithe::text
