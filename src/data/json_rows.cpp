#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json_limits.h"
#include "data/format.h"
#include "data/json_index.h"
#include "io/mapped_file.h"

namespace lithe::data {
namespace {

constexpr std::size_t kMaxRecordBytes = std::size_t{64} << 20;  // pictures may lie in it as base64
constexpr std::size_t kMaxValues = 1'000'000;                   // of one record

/// A JSON list, or a JSON value on each line.
class JsonRows final : public Rows {
 public:
  explicit JsonRows(io::Bytes file) : JsonRows(file, io::as_text(file.span)) {}
  /// `text`: the part of the file that is the list.
  JsonRows(const io::Bytes& file, std::string_view text) : file_(file), index_(text, file.file) {}

  int64_t size() const override { return index_.size(); }

  Json read(int64_t i) const override {
    const std::string_view text = index_[i];
    require(text.size() <= kMaxRecordBytes, Fault::bad_file, "it is of ", text.size(),
            " bytes; a record may have at most ", kMaxRecordBytes);
    JsonLimits limits;
    limits.unique_keys = true;
    limits.max_values = kMaxValues;
    return parse_json(text, "its text", limits);
  }

  std::string name(int64_t i) const override { return concat(file_.file, ", record ", i + 1); }

 private:
  io::Bytes file_;
  JsonIndex index_;
};

}  // namespace

bool is_json(std::span<const std::byte> file) {
  std::string_view head = io::as_text(file.first(std::min<std::size_t>(file.size(), 4096)));
  if (head.starts_with("\xEF\xBB\xBF")) head.remove_prefix(3);
  const std::size_t first = head.find_first_not_of(" \t\r\n");
  return first != head.npos && (head[first] == '[' || head[first] == '{');
}

std::unique_ptr<Rows> open_json(io::Bytes file, const std::vector<std::string>&) {
  return std::make_unique<JsonRows>(std::move(file));
}

std::unique_ptr<Rows> open_json_list(const std::filesystem::path& path, const std::string& key) {
  const io::Bytes file = io::map_file(path);
  refuse_lfs_pointer(io::as_text(file.span.first(std::min(file.span.size(), kLfsPointer.size()))), path);
  return std::make_unique<JsonRows>(file, json_member(io::as_text(file.span), key, file.file));
}

}  // namespace lithe::data
