#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lithe::tasks {

/// The texts of a list as Python writes it: "['9', \"it's\"]". Throws Error{bad_file} for anything else.
std::vector<std::string> python_list(std::string_view text);

}  // namespace lithe::tasks
