#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/message.h"

namespace lithe::text {

struct TokenList;

/// Longest text that is tokenised.
inline constexpr std::size_t kMaxTextBytes = std::size_t{4} << 20;

/// How a prompt with image marks becomes ids.
enum class Dialect {
  original,  ///< Original LLaVA: cut at the marks, every chunk through the slow tokenizer, BOS once in front.
  hf,        ///< transformers: the mark is an added token of tokenizer.json; the whole text is encoded at once.
};

/// Text to ids and back. Reads tokenizer.json, or tokenizer.model (sentencepiece) as the public slow LLaMA tokenizer
/// does. Const calls may come from several threads.
class Tokenizer {
 public:
  /// Opens a folder with tokenizer.json or tokenizer.model or both, and, if they exist, tokenizer_config.json,
  /// special_tokens_map.json and added_tokens.json. Of both, tokenizer.json counts if it knows the image mark (as
  /// transformers' layout does) and prompts follow Dialect::hf, else tokenizer.model (as original LLaVA does).
  /// Throws Error{bad_file}.
  static Tokenizer open(const std::filesystem::path& folder, Dialect dialect = Dialect::hf);
  /// The tokenizer that a file of weights holds as a list of tokens (token_list.h). Throws Error{bad_file}.
  static Tokenizer of(const TokenList& list);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Ids of a text without image marks. `add_special` adds BOS (and EOS) if this tokenizer does. Special tokens
  /// written in the text become their ids. Invalid UTF-8 becomes U+FFFD.
  /// Throws Error{bad_request} for a text of more than 4 MiB.
  std::vector<int64_t> encode(std::string_view text, bool add_special) const;

  /// Ids of a prompt, kImageId (-200) at each "<image>"; BOS once in front, as the tokenizer does.
  /// A prompt that begins with the text of BOS gets no second one (Dialect::hf, as chat templates write it).
  std::vector<int64_t> encode_with_images(std::string_view prompt, Dialect dialect) const;

  /// Text of the ids. Ids outside the vocabulary (kImageId too) give nothing. Bytes that form no UTF-8 give U+FFFD.
  std::string decode(std::span<const int64_t> ids, bool skip_special) const;

  std::optional<int64_t> id_of(std::string_view token) const;
  /// The token as the vocabulary spells it ("▁the"). Throws Error{bad_request} for an id outside the vocabulary.
  std::string token_of(int64_t id) const;
  /// The bytes that the token adds to a text (token_bytes.h).
  std::string bytes_of(int64_t id) const;
  /// One more than the largest id.
  int64_t size() const;
  bool has_id(int64_t id) const;
  bool is_special(int64_t id) const;
  /// Whether it is found in a text before the others; special tokens are.
  bool is_added(int64_t id) const;

  std::optional<int64_t> bos() const;
  std::optional<int64_t> eos() const;
  std::optional<int64_t> pad() const;
  std::optional<int64_t> unk() const;
  /// The texts of BOS and EOS, for chat templates; empty when there is none.
  std::string bos_text() const;
  std::string eos_text() const;
  /// True if `encode` with special tokens begins with BOS.
  bool adds_bos() const;
  /// "legacy" of the slow LLaMA tokenizer: text after a special token gets a space mark of its own.
  bool legacy() const;
  /// True if a run of byte tokens decodes as a whole: one wrong byte spoils its neighbours (tokenizer.json).
  bool decodes_byte_runs_whole() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Streamed text of ids that come one by one. The pieces joined equal `tokenizer.decode(all ids, skip_special)`; a
/// piece never ends within a UTF-8 character. The tokenizer must outlive the stream.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer, bool skip_special = true);
  /// What the id makes certain; may be empty.
  std::string push(int64_t id);
  /// What was held back: an unfinished character comes out as U+FFFD.
  std::string finish();

 private:
  std::string emit(bool last);

  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::vector<int64_t> window_;  // ids whose text is not settled, after settled ones that give context
  std::size_t context_ = 0;      // the settled ones
  std::size_t sent_bytes_ = 0;   // of the window's text
};

}  // namespace lithe::text
