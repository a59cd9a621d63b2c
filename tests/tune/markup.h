#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lithe::test {

/// What is wrong with the tags of HTML or SVG: every element must be closed in order, attributes quoted, and no < or &
/// may stand alone. Empty: nothing.
inline std::string fault_of_markup(std::string_view text) {
  std::vector<std::string> open;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '&') {
      const std::size_t end = text.find(';', at);
      if (end == std::string_view::npos || end - at > 8) return "a bare & at " + std::to_string(at);
    }
    if (text[at] != '<') continue;
    std::size_t end = at;
    for (bool quoted = false; end < text.size() && (quoted || text[end] != '>'); ++end)
      if (text[end] == '"') quoted = !quoted;
    if (end == text.size()) return "a tag without an end at " + std::to_string(at);
    const std::string tag(text.substr(at + 1, end - at - 1));
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag.starts_with("!DOCTYPE") || name == "meta") continue;
    if (tag.starts_with("/")) {
      if (open.empty() || open.back() != tag.substr(1)) return "</" + tag.substr(1) + "> closes nothing";
      open.pop_back();
    } else if (!tag.ends_with("/")) {
      open.push_back(name);
    }
    if (name == "style") {  // its text is not markup
      end = text.find("</style>", end);
      if (end == std::string_view::npos) return "a style without an end";
      --end;
    }
    at = end;
  }
  return open.empty() ? "" : "<" + open.back() + "> is not closed";
}

}  // namespace lithe::test
