#include "data/dataset_info.h"

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"

namespace lithe::data {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{16} << 20;

std::string names_in(const Json& info) {
  std::string names;
  for (const auto& [name, entry] : info.items()) {
    if (entry.is_object()) names.append(names.empty() ? "" : ", ").append(name);
  }
  return printable(names);
}

std::string only_name(const Json& info, const std::string& file) {
  require(info.size() == 1, Fault::bad_request, file, ": holds several data sets; say which entry: ", names_in(info));
  return info.begin().key();
}

/// Adds the names of `key` that are not given yet.
void add_names(const JsonView& entry, const char* key, std::map<std::string, std::string>& names) {
  if (!entry.has(key)) return;
  const JsonView given = entry.object(key);
  for (const auto& [name, value] : given.json().items()) {
    if (!value.is_null()) names.emplace(name, given.text(name.c_str()));
  }
}

/// A path of the file, which may not lead out of the file's folder.
std::filesystem::path below(const std::filesystem::path& folder, const std::string& name, const std::string& where) {
  const std::filesystem::path path = std::filesystem::path(name).lexically_normal();
  require(!path.empty() && path.is_relative() && *path.begin() != "..", Fault::bad_file, where, ": the file ",
          in_quotes(name), " does not lie below the folder of dataset_info.json");
  return folder / path;
}

}  // namespace

bool is_dataset_info(const std::filesystem::path& path) {
  return path.filename() == "dataset_info.json";
}

SetOptions resolve_dataset_info(const SetOptions& options) {
  const std::string file = options.path.string();
  const Json info = read_json_file(options.path, kMaxFileBytes);
  require(info.is_object() && !info.empty(), Fault::bad_file, file, ": holds no data sets");
  const std::string name = options.entry.empty() ? only_name(info, file) : options.entry;
  require(info.contains(name), Fault::bad_request, file, ": has no entry ", in_quotes(name),
          "; there are: ", names_in(info));
  const JsonView entry(info[name], concat(file, ": ", printable(name)));
  require(entry.has("file_name"), Fault::bad_file, entry.source(),
          ": has no \"file_name\"; a set of a hub must be downloaded first");
  require(!entry.boolean("ranking", false), Fault::bad_file, entry.source(),
          ": holds preferences (\"ranking\"), which are not read");
  const std::filesystem::path folder = options.path.parent_path();
  SetOptions out = options;
  out.entry.clear();
  out.path = below(folder, entry.text("file_name"), entry.source());
  require(!is_dataset_info(out.path), Fault::bad_file, entry.source(),
          ": \"file_name\" leads to another dataset_info.json");
  // There, picture names are relative to the folder of dataset_info.json.
  if (out.images.empty()) out.images = folder.empty() ? "." : folder;
  if (out.formatting.empty()) out.formatting = entry.text("formatting", "alpaca");
  add_names(entry, "columns", out.columns);
  add_names(entry, "tags", out.tags);
  return out;
}

}  // namespace lithe::data
