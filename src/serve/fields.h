#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace lithe::serve {

/// The fields of a JSON object of a request. null means the same as no field. A field of another type is refused with
/// its name and the type that it must have. The object must outlive this.
class Fields {
 public:
  /// `path`: how the object is called in errors, "" for the body, else "messages[0]". Throws Refusal if it is not an
  /// object.
  explicit Fields(const Json& object, std::string path = {});

  /// The value, or null if it is absent.
  const Json* find(const char* key) const;
  bool has(const char* key) const { return find(key) != nullptr; }
  /// "messages[0].role"
  std::string name(const char* key) const { return path_.empty() ? key : path_ + "." + key; }

  std::optional<std::string> text(const char* key) const;
  std::optional<bool> boolean(const char* key) const;
  std::optional<double> number(const char* key) const;
  /// Of 64 bits with a sign. Also a decimal number that is whole, such as 16.0.
  std::optional<int64_t> whole(const char* key) const;
  /// Throws Refusal also if it is absent.
  std::string needed_text(const char* key) const;
  const Json& needed(const char* key) const;

 private:
  const Json& object_;
  std::string path_;
};

/// "messages[3]"
std::string place_in(const std::string& list, std::size_t index);

}  // namespace lithe::serve
