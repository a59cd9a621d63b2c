#pragma once

#include <string>
#include <string_view>

namespace lithe::tasks {

/// The text in lower case, without ASCII punctuation. Inner white space stays.
std::string plain_form(std::string_view text);

/// Whether both are equal so, after white space at the ends of the answer is taken away.
bool plain_match(std::string_view answer, std::string_view target);

}  // namespace lithe::tasks
