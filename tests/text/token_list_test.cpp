#include "text/token_list.h"

#include "text/support.h"
#include "text/tokenizer.h"

namespace lithe::text {
namespace {

using Ids = std::vector<int64_t>;

/// A byte as byte-level tokenizers write it; only those that are used below.
const std::string kSpace = "\xC4\xA0";

/// Digits and letters of their own, and pairs of them.
TokenList bytes(const std::string& pre) {
  TokenList list{.source = "model.gguf", .model = "gpt2", .pre = pre};
  for (const char* const token : {"0", "1", "2", "a", "b", "01", "010", "ab", "<s>", "</s>", "[PAD10]"})
    list.tokens.emplace_back(token);
  list.tokens.push_back(kSpace);
  list.tokens.push_back(kSpace + "a");
  list.kinds.assign(list.tokens.size(), TokenKind::normal);
  list.kinds[8] = list.kinds[9] = TokenKind::control;
  list.kinds[10] = TokenKind::unused;
  list.merges = {"0 1", "01 0", "a b", kSpace + " a"};
  list.bos = 8;
  list.eos = 9;
  return list;
}

std::string refusal_of(const TokenList& list) {
  try {
    Tokenizer::of(list);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_refused(const TokenList& list, const std::string& part) {
  EXPECT_NE(refusal_of(list).find(part), std::string::npos) << refusal_of(list);
}

TEST(TokenList, BytesAreThoseOfTheAlphabet) {
  TokenList list = bytes("llama-bpe");
  list.tokens.insert(list.tokens.end(), {"\u00E6\u0139\u00A5", "\u010A", "\u2581"});  // bytes E6 97 A5, 0A; none
  list.kinds.resize(list.tokens.size(), TokenKind::normal);
  const Tokenizer tokenizer = Tokenizer::of(list);
  EXPECT_EQ(tokenizer.bytes_of(*tokenizer.id_of(kSpace + "a")), " a");
  EXPECT_EQ(tokenizer.bytes_of(*tokenizer.id_of("\u00E6\u0139\u00A5")), "\u65E5");
  EXPECT_EQ(tokenizer.bytes_of(*tokenizer.id_of("\u010A")), "\n");
  EXPECT_EQ(tokenizer.bytes_of(*tokenizer.id_of("\u2581")), "\u2581");  // not of the alphabet
  EXPECT_EQ(tokenizer.bytes_of(8), "<s>");
}

TEST(TokenList, ThePreTokenizerDecidesWhatIsMerged) {
  EXPECT_EQ(Tokenizer::of(bytes("gpt-2")).encode("010ab", false), (Ids{6, 7}));
  EXPECT_EQ(Tokenizer::of(bytes("smollm")).encode("010ab", false), (Ids{0, 1, 0, 7}));
  EXPECT_EQ(Tokenizer::of(bytes("qwen2")).encode("010ab", false), (Ids{0, 1, 0, 7}));
  EXPECT_EQ(Tokenizer::of(bytes("llama-bpe")).encode("0101ab", false), (Ids{6, 1, 7}));
  for (const char* const pre : {"gpt-2", "smollm", "qwen2", "llama-bpe"})
    EXPECT_EQ(Tokenizer::of(bytes(pre)).encode("b a", false), (Ids{4, 12})) << pre;
}

TEST(TokenList, SpecialTokensAreFoundInTextsAndStandWhereTheListSays) {
  TokenList list = bytes("smollm");
  EXPECT_EQ(Tokenizer::of(list).encode("a</s>b", true), (Ids{3, 9, 4}));
  list.add_bos = list.add_eos = true;
  EXPECT_EQ(Tokenizer::of(list).encode("a", true), (Ids{8, 3, 9}));
  EXPECT_EQ(Tokenizer::of(list).encode("a", false), (Ids{3}));
  EXPECT_EQ(Tokenizer::of(bytes("llama-bpe")).encode("a", true), (Ids{8, 3}));
  const Tokenizer tokenizer = Tokenizer::of(list);
  EXPECT_EQ(tokenizer.bos(), 8);
  EXPECT_EQ(tokenizer.eos(), 9);
  EXPECT_TRUE(tokenizer.is_special(9));
  EXPECT_FALSE(tokenizer.has_id(10));  // llama.cpp fills gaps with such names
  EXPECT_EQ(tokenizer.decode(Ids{8, 12, 7, 9}, true), " aab");
}

/// "a" and "b", their pair, and the 256 bytes.
TokenList pieces() {
  TokenList list{.source = "model.gguf", .model = "llama"};
  const auto add = [&](const std::string& token, float score, TokenKind kind) {
    list.tokens.push_back(token);
    list.scores.push_back(score);
    list.kinds.push_back(kind);
  };
  add("<unk>", 0, TokenKind::unknown);
  add("<s>", 0, TokenKind::control);
  add("</s>", 0, TokenKind::control);
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    add(name, 0, TokenKind::byte);
  }
  for (const char* const piece : {"\xE2\x96\x81", "a", "b", "ab",
                                  "\xE2\x96\x81"
                                  "a"})
    add(piece, -static_cast<float>(list.tokens.size()), TokenKind::normal);
  list.bos = 1;
  list.eos = 2;
  list.unk = 0;
  return list;
}

TEST(TokenList, PiecesFallBackToBytesAndBeginWithASpace) {
  const Tokenizer tokenizer = Tokenizer::of(pieces());
  EXPECT_EQ(tokenizer.encode("ab", true), (Ids{1, 259, 262}));  // "ab" has the better score than the space with "a"
  EXPECT_EQ(tokenizer.encode("b\n", false), (Ids{259, 261, 3 + 10}));
  EXPECT_EQ(tokenizer.decode(Ids{1, 259, 262, 3 + 10}, true), "ab\n");
  TokenList bare = pieces();
  bare.add_space_prefix = false;
  bare.add_bos = false;
  EXPECT_EQ(Tokenizer::of(bare).encode("ab", true), (Ids{262}));
}

TEST(TokenList, WhatDoesNotFitIsRefused) {
  TokenList list = bytes("tekken");
  EXPECT_EQ(not_supported(list), "the pre-tokenizer \"tekken\"");
  expect_refused(list, "model.gguf: the pre-tokenizer \"tekken\" is not supported");
  list.model = "bert";
  expect_refused(list, "the tokenizer \"bert\" is not supported");
  list = bytes("qwen2");
  list.kinds.pop_back();
  expect_refused(list, "has 13 tokens, and types for 12");
  list = bytes("qwen2");
  list.eos = 13;
  expect_refused(list, "the id of its EOS token is 13, and it has 13 tokens");
  list = bytes("qwen2");
  list.tokens[0] = "1";
  expect_refused(list, "has the token \"1\" twice");
  list = bytes("qwen2");
  list.tokens[0] = "\xFF";
  expect_refused(list, "is not UTF-8");
  list = bytes("qwen2");
  list.merges.emplace_back("x y");
  expect_refused(list, "model.gguf: not a tokenizer");
  list = pieces();
  list.scores.pop_back();
  expect_refused(list, "has 264 tokens, and scores for 263");
  list = pieces();
  list.kinds[0] = TokenKind::normal;
  expect_refused(list, "model.gguf: not a sentencepiece model");
  expect_refused({.source = "model.gguf", .model = "llama"}, "its tokenizer has no tokens");
}

}  // namespace
}  // namespace lithe::text
