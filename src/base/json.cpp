#include "base/json.h"

#include <fstream>
#include <sstream>

#include "base/error.h"

namespace lithe {
namespace {

constexpr int kMaxDepth = 128;

/// Refuses nesting deeper than kMaxDepth before the parser recurses into it.
void check_depth(std::string_view text, const std::string& source) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      require(++depth <= kMaxDepth, Fault::bad_file, source, ": JSON is nested deeper than ", kMaxDepth, " levels");
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

}  // namespace

Json parse_json(std::string_view text, const std::string& source) {
  check_depth(text, source);
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    fail(Fault::bad_file, source, ": not valid JSON at byte ", error.byte);
  } catch (const nlohmann::json::exception&) {
    fail(Fault::bad_file, source, ": not valid JSON, a number is out of range");
  }
}

Json read_json_file(const std::filesystem::path& path, std::size_t max_bytes) {
  std::error_code code;
  const auto size = std::filesystem::file_size(path, code);
  require(!code, Fault::bad_file, path.string(), ": cannot be read; is it there?");
  require(size <= max_bytes, Fault::bad_file, path.string(), ": ", size,
          " bytes is too large for a JSON file of its kind");
  std::ifstream in(path, std::ios::binary);
  require(in.good(), Fault::bad_file, path.string(), ": cannot be opened; check its permissions");
  std::ostringstream text;
  text << in.rdbuf();
  return parse_json(text.str(), path.string());
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
