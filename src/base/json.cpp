#include "base/json.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json_limits.h"

namespace lithe {

Json parse_json(std::string_view text, const std::string& source) {
  return parse_json(text, source, {});
}

Json read_json_file(const std::filesystem::path& path, std::size_t max_bytes) {
  return parse_json(read_regular_file(path, max_bytes), path.string());
}

Json read_config_file(const std::filesystem::path& path) {
  return read_json_file(path, std::size_t{16} << 20);
}

std::string json_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

JsonView::JsonView(const Json& object, std::string source) : object_(&object), source_(std::move(source)) {
  require(object.is_object(), Fault::bad_file, source_, ": expected a JSON object, got ", object.type_name());
}

bool JsonView::has(const char* key) const {
  const auto found = object_->find(key);
  return found != object_->end() && !found->is_null();
}

const Json& JsonView::need(const char* key) const {
  require(has(key), Fault::bad_file, source_, ": the key '", key, "' is missing");
  return (*object_)[key];
}

int64_t JsonView::integer(const char* key) const {
  const Json& value = need(key);
  const bool fits =
      value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t{INT64_MAX});
  require(fits, Fault::bad_file, source_, ": '", key, "' must be an integer of 64 bits, got ", value.dump());
  return value.get<int64_t>();
}
int64_t JsonView::integer(const char* key, int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}

double JsonView::number(const char* key) const {
  const Json& value = need(key);
  require(value.is_number(), Fault::bad_file, source_, ": '", key, "' must be a number, got ", value.dump());
  return value.get<double>();
}
double JsonView::number(const char* key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

bool JsonView::boolean(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  const Json& value = need(key);
  require(value.is_boolean(), Fault::bad_file, source_, ": '", key, "' must be true or false, got ", value.dump());
  return value.get<bool>();
}

std::string JsonView::text(const char* key) const {
  const Json& value = need(key);
  require(value.is_string(), Fault::bad_file, source_, ": '", key, "' must be a string, got ", value.dump());
  return value.get<std::string>();
}
std::string JsonView::text(const char* key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

JsonView JsonView::object(const char* key) const {
  return {need(key), source_ + ": " + key};
}

}  // namespace lithe
