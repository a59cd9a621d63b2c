#pragma once

#include <string>

#include "text/settings.h"
#include "text/token_list.h"

// A list of tokens as the files that the tokenizer was published with.
namespace lithe::text {

/// Whether the rules of a pre-tokenizer are known, and whether its texts begin with BOS if nothing else says so.
bool knows_pre_tokenizer(const std::string& pre);
bool begins_with_bos(const std::string& pre);

/// The text of a tokenizer.json with bytes and merges ("gpt2"). Throws Error{bad_file}.
std::string tokenizer_json_of(const TokenList& list, const Settings& settings);

/// The bytes of a tokenizer.model of sentencepiece ("llama"). Throws Error{bad_file}.
std::string sentencepiece_model_of(const TokenList& list);

}  // namespace lithe::text
