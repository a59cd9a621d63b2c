#pragma once

#include <string>
#include <string_view>

namespace lithe::tasks {

/// The letter that an answer in words means, of those in `choices` ("ABCD"); empty: none. As `extract_mcq_answer` of
/// lmms-eval: of all that look like an answer, what is in the surest form counts, and of these the last.
std::string general_letter(std::string_view answer, std::string_view choices);

}  // namespace lithe::tasks
