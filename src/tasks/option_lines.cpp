#include "tasks/option_lines.h"

#include "base/error.h"

namespace lithe::tasks {

std::string option_letter(std::size_t place) {
  require(place < 26, Fault::bad_file, "has more than 26 options");
  return {static_cast<char>('A' + place)};
}

std::string option_lines(const std::vector<std::string>& options) {
  std::string lines;
  for (std::size_t i = 0; i < options.size(); ++i)
    lines += concat(i == 0 ? "" : "\n", option_letter(i), ". ", options[i]);
  return lines;
}

}  // namespace lithe::tasks
