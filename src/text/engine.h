#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/settings.h"

namespace lithe::text {

/// Tokens by id and ids by token.
struct Vocabulary {
  std::unordered_map<int64_t, std::string> tokens;
  std::unordered_map<std::string, int64_t> ids;
  std::set<int64_t> special;
  std::set<int64_t> added;  ///< Added tokens, special ones included.
  bool byte_level = false;  ///< The others are written in the alphabet of bytes that GPT-2 has.
  int64_t size = 0;         ///< One more than the largest id.

  void add(int64_t id, const std::string& token);
  std::optional<int64_t> find(const std::string& token) const;
};

/// What reads one kind of tokenizer file. Texts are valid UTF-8; ids are in the vocabulary.
class Engine {
 public:
  virtual ~Engine() = default;

  virtual std::vector<int64_t> encode(const std::string& text, bool add_special) const = 0;
  /// As encode with special tokens, the way the slow tokenizer treats a text that starts with a space.
  virtual std::vector<int64_t> encode_chunk(const std::string& text) const = 0;
  virtual std::string decode(std::span<const int64_t> ids, bool skip_special) const = 0;
  /// True if a run of byte tokens decodes as a whole, so that none of it is settled before its end.
  virtual bool decodes_byte_runs_whole() const = 0;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 protected:
  Vocabulary vocabulary_;
};

/// tokenizer.json, through the Rust crate.
std::unique_ptr<Engine> open_json_engine(const std::filesystem::path& path);
/// The same of its text; `source` names it in errors.
std::unique_ptr<Engine> make_json_engine(const std::string& json, const std::string& source);

/// tokenizer.model as the public slow LLaMA tokenizer uses it, through sentencepiece.
std::unique_ptr<Engine> open_sentencepiece_engine(const std::filesystem::path& path, const Settings& settings);
/// The same of its bytes; `source` names them in errors.
std::unique_ptr<Engine> make_sentencepiece_engine(std::string model, const std::string& source,
                                                  const Settings& settings);

}  // namespace lithe::text
