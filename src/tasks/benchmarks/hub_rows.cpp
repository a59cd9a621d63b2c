#include "tasks/benchmarks/hub_rows.h"

#include <map>

#include "base/error.h"
#include "data/format.h"
#include "tasks/items.h"
#include "tasks/set_files.h"

namespace lithe::tasks {
namespace {

namespace fs = std::filesystem;

/// As the hub's repositories name the files of a split, then as its conversion to Parquet does.
std::vector<std::string> patterns_of(const HubSet& set, const std::string& split) {
  std::vector<std::string> patterns;
  for (const std::string& folder : set.folders) patterns.push_back(folder + "/" + split + "-*.parquet");
  patterns.push_back(split + "-*.parquet");
  for (const std::string& folder : set.folders) patterns.push_back(folder + "/" + split + "/*.parquet");
  patterns.push_back("default/" + split + "/*.parquet");
  for (const std::string& folder : set.folders) patterns.push_back(folder + "/" + split + ".jsonl");
  patterns.push_back(split + ".jsonl");
  return patterns;
}

std::string id_of(const Json& row, const std::vector<std::string>& columns, int64_t number) {
  std::string id;
  for (const std::string& column : columns) id.append(id.empty() ? "" : "-").append(id_field(row, column.c_str()));
  return id.empty() ? std::to_string(number) : id;
}

}  // namespace

std::vector<fs::path> hub_files(const HubSet& set, const fs::path& folder, const std::string& split) {
  const std::vector<std::string> patterns = patterns_of(set, split);
  for (const std::string& pattern : patterns) {
    std::vector<fs::path> files = fitting(folder, pattern);
    if (!files.empty()) return files;
  }
  refuse_set(set.title, folder, {patterns.begin(), patterns.begin() + static_cast<int64_t>(set.folders.size())});
}

HubRows::HubRows(const HubSet& set, const TaskOptions& options) : place_(options.data, options.decode) {
  std::vector<fs::path> files;
  for (const std::string& split : parts_of_split(set.split.empty() ? options.split : set.split))
    for (fs::path& file : hub_files(set, options.data, split)) files.push_back(std::move(file));
  files_ = data::open_rows(files, set.pictures.empty() ? set.columns : set.pictures);
  const std::unique_ptr<data::Rows> texts = data::open_rows(files, set.columns);
  std::map<std::string, int64_t> named;
  for (int64_t i = 0; i < texts->size(); ++i) {
    naming_record(texts->name(i), [&] {
      Json row = texts->read(i);
      if (set.wants && !set.wants(row)) return;
      std::string id = id_of(row, set.id, i);
      const int64_t before = named[id]++;
      if (before > 0) id += concat("-", before + 1);
      rows_.push_back({std::move(row), std::move(id), i});
    });
  }
}

std::vector<image::Source> HubRows::pictures(int64_t i, const std::vector<std::string>& columns, bool required) const {
  const Json read = files_->read(at(i).place);
  std::vector<image::Source> found;
  for (const std::string& column : columns) {
    const auto held = read.find(column);
    if (!required && (held == read.end() || held->is_null())) continue;
    const Json& value = field(read, column.c_str());
    if (!value.is_array()) {
      found.push_back(place_.find(value));
      continue;
    }
    for (const Json& picture : value) found.push_back(place_.find(picture));
  }
  require(!required || columns.empty() || !found.empty(), Fault::bad_file, "has no picture");
  return found;
}

}  // namespace lithe::tasks
