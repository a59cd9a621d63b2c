#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/settings.h"

namespace lithe::text {

class Engine;

/// What a token of a TokenList is, by the numbers that sentencepiece and GGUF give it.
enum class TokenKind : int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

/// A tokenizer as the list of its tokens, as GGUF files hold it. Tokenizer::of reads it.
struct TokenList {
  std::string source;  ///< The file, for errors.
  std::string model;   ///< "llama": sentencepiece with scores; "gpt2": bytes with merges.
  std::string pre;     ///< Of "gpt2", by what rules a text is split first: "llama-bpe", "qwen2", ..
  std::vector<std::string> tokens;
  std::vector<float> scores;        ///< Of "llama", one for each token.
  std::vector<TokenKind> kinds;     ///< One for each token, or empty: all are normal.
  std::vector<std::string> merges;  ///< Of "gpt2": "left right".
  std::optional<int64_t> bos, eos, unk, pad;
  std::optional<bool> add_bos, add_eos;  ///< Absent: as the model and its `pre` have it.
  bool add_space_prefix = true;          ///< Of "llama": a text begins with a space of its own.
  bool remove_extra_spaces = false;      ///< Of "llama".

  TokenKind kind(std::size_t id) const { return kinds.empty() ? TokenKind::normal : kinds[id]; }
};

/// What of it is not supported: "the pre-tokenizer \"tekken\""; absent if Tokenizer::of reads it.
std::optional<std::string> not_supported(const TokenList& list);

/// Special and added tokens, BOS and EOS. Throws Error{bad_file} for ids and lengths that do not fit.
Settings settings_of(const TokenList& list);

/// Throws Error{bad_file}.
std::unique_ptr<Engine> engine_of(const TokenList& list, const Settings& settings);

}  // namespace lithe::text
