// tokenizer.json as the models with these tokenizers were published with it.
#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_set>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "text/token_list_files.h"

namespace lithe::text {
namespace {

constexpr const char* kSplitOfLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kSplitOfQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// How the tokenizer of a model splits texts before it merges bytes.
enum class Split { gpt2, digits, llama3, qwen2 };

struct PreTokenizer {
  std::string_view name;  ///< As "tokenizer.ggml.pre" spells it.
  Split split;
};

constexpr std::array kPreTokenizers{
    PreTokenizer{"gpt-2", Split::gpt2},       PreTokenizer{"phi-2", Split::gpt2},
    PreTokenizer{"mpt", Split::gpt2},         PreTokenizer{"olmo", Split::gpt2},
    PreTokenizer{"smollm", Split::digits},    PreTokenizer{"starcoder", Split::digits},
    PreTokenizer{"refact", Split::digits},    PreTokenizer{"llama-bpe", Split::llama3},
    PreTokenizer{"llama3", Split::llama3},    PreTokenizer{"llama-v3", Split::llama3},
    PreTokenizer{"smaug-bpe", Split::llama3}, PreTokenizer{"qwen2", Split::qwen2},
    PreTokenizer{"stablelm2", Split::qwen2},  PreTokenizer{"deepseek-r1-qwen", Split::qwen2},
};

const PreTokenizer* find(const std::string& pre) {
  const auto found = std::find_if(kPreTokenizers.begin(), kPreTokenizers.end(),
                                  [&](const PreTokenizer& known) { return pre == known.name; });
  return found == kPreTokenizers.end() ? nullptr : &*found;
}

Json byte_level(bool splits) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", splits}};
}

Json pre_tokenizer(Split split) {
  if (split == Split::gpt2) return byte_level(true);
  Json first = {{"type", "Digits"}, {"individual_digits", true}};
  if (split != Split::digits) {
    first = {{"type", "Split"},
             {"pattern", {{"Regex", split == Split::llama3 ? kSplitOfLlama3 : kSplitOfQwen2}}},
             {"behavior", "Isolated"},
             {"invert", false}};
  }
  return {{"type", "Sequence"}, {"pretokenizers", {first, byte_level(split == Split::digits)}}};
}

/// BOS before a text, EOS after it.
Json frame(const TokenList& list, const Settings& settings) {
  Json single = Json::array(), special = Json::object();
  const auto add = [&](const std::optional<AddedToken>& token, const std::optional<int64_t>& id) {
    if (!token) return;
    single.push_back({{"SpecialToken", {{"id", token->content}, {"type_id", 0}}}});
    special[token->content] = {{"id", token->content}, {"ids", {*id}}, {"tokens", {token->content}}};
  };
  if (settings.add_bos) add(settings.bos, list.bos);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  if (settings.add_eos) add(settings.eos, list.eos);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", single}, {"special_tokens", special}};
}

/// {"token": id, ..}; written by hand, as an ordered object of so many keys is slow to make. Tokens that are not used
/// are left out, as they are not in the original.
std::string vocabulary(const TokenList& list) {
  std::unordered_set<std::string_view> seen;
  std::string text = "{";
  for (std::size_t id = 0; id < list.tokens.size(); ++id) {
    if (list.kind(id) == TokenKind::unused) continue;
    const std::string& token = list.tokens[id];
    require(seen.insert(token).second, Fault::bad_file, list.source, ": its tokenizer has the token ", in_quotes(token),
            " twice");
    if (text.size() > 1) text += ",";
    text += Json(token).dump() + ":" + std::to_string(id);
  }
  return text + "}";
}

Json added_tokens(const Settings& settings) {
  Json added = Json::array();
  for (const auto& [id, token] : settings.added) {
    added.push_back({{"id", id},
                     {"content", token.content},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", token.special}});
  }
  return added;
}

}  // namespace

bool knows_pre_tokenizer(const std::string& pre) {
  return find(pre) != nullptr;
}

bool begins_with_bos(const std::string& pre) {
  const PreTokenizer* const known = find(pre);
  return known && known->split == Split::llama3;
}

std::string tokenizer_json_of(const TokenList& list, const Settings& settings) {
  for (const std::vector<std::string>* const texts : {&list.tokens, &list.merges}) {
    for (const std::string& text : *texts)
      require(valid_utf8(text) == text, Fault::bad_file, list.source, ": ", in_quotes(text),
              " of its tokenizer is not UTF-8");
  }
  const Split split = find(list.pre)->split;
  const Json file = {{"version", "1.0"},
                     {"added_tokens", added_tokens(settings)},
                     {"normalizer", split == Split::qwen2 ? Json{{"type", "NFC"}} : Json()},
                     {"pre_tokenizer", pre_tokenizer(split)},
                     {"post_processor", frame(list, settings)},
                     {"decoder", byte_level(true)}};
  const std::string model = concat(R"({"type":"BPE","ignore_merges":)", split == Split::llama3 ? "true" : "false",
                                   R"(,"vocab":)", vocabulary(list), R"(,"merges":)", Json(list.merges).dump(), "}");
  std::string text = file.dump();
  text.pop_back();
  return text + R"(,"model":)" + model + "}";
}

}  // namespace lithe::text
