#include "io/torch_settings.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/error.h"
#include "io/mapped_file.h"
#include "io/pickle.h"
#include "io/torch_globals.h"
#include "io/zip_archive.h"

namespace lithe::io {
namespace {

using Value = Pickle::Value;
using Kind = Value::Kind;

constexpr int kMostDepth = 8;
constexpr size_t kMostItems = size_t{1} << 16;

/// Absent for what is not plain, and below a depth at which a hostile value may hold itself. In a list that is null, so
/// that whoever reads the list notices; a number of more than 64 bits is its text, for the same reason.
class Plain {
 public:
  Plain(const Pickle& pickle, const std::filesystem::path& file) : pickle_(pickle), file_(file) {}

  std::optional<Json> of(const Value& value, int depth = 0) {
    if (depth > kMostDepth) return std::nullopt;
    require(++items_ <= kMostItems, Fault::bad_file, file_.string(), ": its hyper_parameters hold more than ",
            kMostItems, " values; take them out of the file");
    switch (value.kind) {
      case Kind::boolean:
        return value.integer != 0;
      case Kind::integer:
        return value.text.empty() ? Json(value.integer) : Json(value.text);
      case Kind::real:
        return value.real;
      case Kind::text:
        return value.text;
      case Kind::sequence:
        return list(value, depth);
      case Kind::dict:
        return dict(value, depth);
      default:
        return std::nullopt;
    }
  }

 private:
  Json list(const Value& value, int depth) {
    Json out = Json::array();
    for (const Pickle::Id id : value.items) out.push_back(of(pickle_[id], depth + 1).value_or(Json()));
    return out;
  }

  Json dict(const Value& value, int depth) {
    Json out = Json::object();
    for (size_t i = 0; i + 1 < value.items.size(); i += 2) {
      const Value& key = pickle_[value.items[i]];
      if (key.kind != Kind::text) continue;
      if (std::optional<Json> item = of(pickle_[value.items[i + 1]], depth + 1)) out[key.text] = std::move(*item);
    }
    return out;
  }

  const Pickle& pickle_;
  const std::filesystem::path& file_;
  size_t items_ = 0;
};

}  // namespace

Json read_hyper_parameters(const std::filesystem::path& file) {
  const Bytes bytes = map_file(file);
  if (!ZipArchive::recognises(bytes.span)) return Json::object();
  const ZipArchive archive(bytes);
  const auto found = std::find_if(archive.entries().begin(), archive.entries().end(),
                                  [](const auto& entry) { return entry.first.ends_with("/data.pkl"); });
  if (found == archive.entries().end()) return Json::object();
  const Pickle pickle(archive.read(found->first), torch_role);
  const Value* const settings = pickle.entry(pickle.root(), "hyper_parameters");
  return settings && settings->kind == Kind::dict ? Plain(pickle, file).of(*settings).value_or(Json::object())
                                                  : Json::object();
}

}  // namespace lithe::io
