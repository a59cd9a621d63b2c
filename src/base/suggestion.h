#pragma once

#include <string>
#include <vector>

namespace lithe {

/// The name that `word` was most likely meant to be: a beginning of it, or a few edits away; empty if there is none.
///   closest_name("--tmp", {"--temp", "--top-k"}) == "--temp"
std::string closest_name(const std::string& word, const std::vector<std::string>& names);

}  // namespace lithe
