#include "serve/fields.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "serve/refusal.h"

namespace lithe::serve {
namespace {

constexpr double kMostWhole = 9007199254740992.0;  // of decimal numbers: 2^53, up to which a double holds each one
constexpr uint64_t kMostUnsigned = std::numeric_limits<int64_t>::max();

}  // namespace

std::string place_in(const std::string& list, std::size_t index) {
  return concat(list, "[", index, "]");
}

Fields::Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
  require_field(object.is_object(), path_,
                concat(path_.empty() ? "the body" : path_, " is not a JSON object; write it as {\"name\": value}."));
}

const Json* Fields::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::string> Fields::text(const char* key) const {
  const Json* const value = find(key);
  if (!value) return std::nullopt;
  require_field(value->is_string(), name(key), concat(name(key), " is not a string."));
  return value->get<std::string>();
}

std::optional<bool> Fields::boolean(const char* key) const {
  const Json* const value = find(key);
  if (!value) return std::nullopt;
  require_field(value->is_boolean(), name(key), concat(name(key), " is neither true nor false."));
  return value->get<bool>();
}

std::optional<double> Fields::number(const char* key) const {
  const Json* const value = find(key);
  if (!value) return std::nullopt;
  require_field(value->is_number(), name(key), concat(name(key), " is not a number."));
  return value->get<double>();
}

std::optional<int64_t> Fields::whole(const char* key) const {
  const std::optional<double> rounded = number(key);
  if (!rounded) return std::nullopt;
  const Json& value = *find(key);
  const bool decimal = !value.is_number_integer();
  const bool is_whole = decimal ? std::floor(*rounded) == *rounded && std::abs(*rounded) <= kMostWhole
                                : !value.is_number_unsigned() || value.get<uint64_t>() <= kMostUnsigned;
  require_field(is_whole, name(key), concat(name(key), " is not a whole number that fits."));
  return decimal ? static_cast<int64_t>(*rounded) : value.get<int64_t>();
}

std::string Fields::needed_text(const char* key) const {
  needed(key);
  return *text(key);
}

const Json& Fields::needed(const char* key) const {
  const Json* const value = find(key);
  require_field(value != nullptr, name(key), concat(name(key), " is missing; the request needs it."));
  return *value;
}

}  // namespace lithe::serve
