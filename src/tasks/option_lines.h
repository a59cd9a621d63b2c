#pragma once

#include <string>
#include <vector>

namespace lithe::tasks {

/// The letter of option `place`: "A" for 0.
std::string option_letter(std::size_t place);

/// "A. red\nB. blue"
std::string option_lines(const std::vector<std::string>& options);

}  // namespace lithe::tasks
