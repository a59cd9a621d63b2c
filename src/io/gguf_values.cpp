// What the metadata of a GGUF file says: values by their keys.
#include <cmath>

#include "base/error.h"
#include "base/printable.h"
#include "io/gguf.h"
#include "io/gguf_kinds.h"

namespace lithe::io {

template <class T>
const T& GgufFile::value(const std::string& key, const char* kind) const {
  const auto found = values_.find(key);
  require(found != values_.end(), Fault::bad_file, file_, ": its metadata has no ", in_quotes(key));
  const T* const value = std::get_if<T>(&found->second);
  require(value != nullptr, Fault::bad_file, file_, ": ", in_quotes(key), " of its metadata is not ", kind);
  return *value;
}

int64_t GgufFile::integer(const std::string& key) const {
  return value<int64_t>(key, "a whole number");
}

int64_t GgufFile::integer(const std::string& key, int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}

double GgufFile::number(const std::string& key) const {
  const auto found = values_.find(key);
  if (found != values_.end() && std::holds_alternative<int64_t>(found->second))
    return static_cast<double>(integer(key));
  const double number = value<double>(key, "a number");
  require(std::isfinite(number), Fault::bad_file, file_, ": ", in_quotes(key), " of its metadata is not finite");
  return number;
}

double GgufFile::number(const std::string& key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

bool GgufFile::boolean(const std::string& key, bool fallback) const {
  return has(key) ? value<bool>(key, "true or false") : fallback;
}

std::string GgufFile::text(const std::string& key) const {
  return std::string(value<std::string_view>(key, "a text"));
}

std::string GgufFile::text(const std::string& key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

const GgufArray* GgufFile::array(const std::string& key, const char* kind) const {
  if (!has(key)) return nullptr;
  const GgufArray& array = value<GgufArray>(key, kind);
  require(array.count <= kMostElements, Fault::bad_file, file_, ": ", in_quotes(key), " of its metadata has ",
          array.count, " elements, the limit is ", kMostElements);
  return &array;
}

std::vector<std::string> GgufFile::texts(const std::string& key) const {
  constexpr const char* kKind = "a list of texts";
  const GgufArray* const found = array(key, kKind);
  if (!found) return {};
  require(found->count == 0 || static_cast<GgufKind>(found->type) == GgufKind::text, Fault::bad_file, file_, ": ",
          in_quotes(key), " of its metadata is not ", kKind);
  std::vector<std::string> texts;
  for (std::size_t at = 0; at < found->bytes.size();) {
    const auto size = little_endian<uint64_t>(found->bytes, at);
    at += sizeof size;
    texts.emplace_back(as_text(found->bytes.subspan(at, size)));
    at += size;
  }
  return texts;
}

std::vector<double> GgufFile::numbers(const std::string& key) const {
  constexpr const char* kKind = "a list of numbers";
  const GgufArray* const found = array(key, kKind);
  if (!found) return {};
  const std::size_t size = bytes_of_kind(found->type);
  require(size > 0 && static_cast<GgufKind>(found->type) != GgufKind::boolean, Fault::bad_file, file_, ": ",
          in_quotes(key), " of its metadata is not ", kKind);
  std::vector<double> numbers;
  for (uint64_t i = 0; i < found->count; ++i) numbers.push_back(number_at(found->bytes, i * size, found->type));
  return numbers;
}

std::vector<int64_t> GgufFile::integers(const std::string& key) const {
  constexpr const char* kKind = "a list of whole numbers";
  const GgufArray* const found = array(key, kKind);
  if (!found) return {};
  require(is_whole(found->type), Fault::bad_file, file_, ": ", in_quotes(key), " of its metadata is not ", kKind);
  std::vector<int64_t> integers;
  const std::size_t size = bytes_of_kind(found->type);
  for (uint64_t i = 0; i < found->count; ++i) integers.push_back(whole_at(found->bytes, i * size, found->type));
  return integers;
}

}  // namespace lithe::io
