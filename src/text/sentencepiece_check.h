#pragma once

#include <string>
#include <string_view>

namespace lithe::text {

/// Checks what sentencepiece itself takes on trust in a serialized model: the trie of normalisation rules, whose nodes
/// it follows without bounds, and the numbers of pieces. Throws Error{bad_file}; `source` names the file.
void check_sentencepiece_model(std::string_view model, const std::string& source);

}  // namespace lithe::text
