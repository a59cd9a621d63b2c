#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lithe::text {

/// A token that the files add to the vocabulary or single out from it. The flags are those of transformers' AddedToken.
struct AddedToken {
  std::string content;
  bool special = false;
  bool lstrip = false;  ///< Swallows the white space before it.
  bool rstrip = false;  ///< Swallows the white space after it.
  bool single_word = false;
};

/// What the small files beside a tokenizer say: tokenizer_config.json, special_tokens_map.json, added_tokens.json.
struct Settings {
  std::optional<AddedToken> bos, eos, pad, unk;
  std::vector<AddedToken> additional_special;
  std::map<int64_t, AddedToken> added;  ///< By id.
  bool add_bos = true;
  bool add_eos = false;
  bool legacy = true;  ///< The slow LLaMA tokenizer's own switch; its default is true.
};

/// Reads the files that exist. Throws Error{bad_file}.
Settings read_settings(const std::filesystem::path& folder);

}  // namespace lithe::text
