#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lithe::tune {

struct YamlEntry;

/// A value of a YAML text, with the line where it begins.
struct Yaml {
  enum class Kind { null, text, list, map };

  Kind kind = Kind::null;
  std::string text;  ///< Of a scalar, as it is written: what a number is, the reader of the value knows.
  std::vector<Yaml> items;
  std::vector<YamlEntry> entries;
  int64_t line = 1;
};

struct YamlEntry {
  std::string key;
  int64_t line = 1;
  Yaml value;
};

/// Reads a YAML text, which may be hostile: size, depth and the number of values are bounded. Refused are keys that
/// occur twice, a second document, anchors and aliases, tags, and keys that are not scalars. `source` names the text in
/// errors. Throws Error{bad_file} with the line.
Yaml parse_yaml(std::string_view text, const std::string& source);

}  // namespace lithe::tune
