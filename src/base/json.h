#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace lithe {

using Json = nlohmann::ordered_json;

/// Parses JSON text. Nesting is bounded (128), as the text may be hostile. `source` names the text in errors.
/// Throws Error{bad_file} with the byte position of the fault.
Json parse_json(std::string_view text, const std::string& source);

/// Reads a JSON file of at most `max_bytes`. Throws Error{bad_file}.
Json read_json_file(const std::filesystem::path& path, std::size_t max_bytes = std::size_t{256} << 20);

/// Reads the settings of a model, a file of at most 16 MiB. Throws Error{bad_file}.
Json read_config_file(const std::filesystem::path& path);

/// JSON as text, on one line or indented by `indent` spaces. Bytes that are not UTF-8 become U+FFFD.
std::string json_text(const Json& json, int indent = -1);

/// A JSON object with the name of its source, for errors that say where a value stands.
class JsonView {
 public:
  JsonView(const Json& object, std::string source);

  bool has(const char* key) const;  ///< Present and not null.
  /// The value of `key`. Throw Error{bad_file} when it is missing (without a fallback) or of another type.
  int64_t integer(const char* key) const;
  int64_t integer(const char* key, int64_t fallback) const;
  double number(const char* key) const;
  double number(const char* key, double fallback) const;
  bool boolean(const char* key, bool fallback) const;
  std::string text(const char* key) const;
  std::string text(const char* key, const std::string& fallback) const;
  JsonView object(const char* key) const;

  const Json& json() const { return *object_; }
  const std::string& source() const { return source_; }

 private:
  const Json& need(const char* key) const;
  const Json* object_;
  std::string source_;
};

}  // namespace lithe
