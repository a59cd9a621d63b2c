#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/pictures.h"
#include "data/rows.h"
#include "image/source.h"
#include "tasks/task.h"

namespace lithe::tasks {

/// Where a set lies on the hub, and what of it a task reads.
struct HubSet {
  const char* title;                                ///< For messages.
  std::vector<std::string> folders;                 ///< Of the configurations that have its splits.
  std::vector<std::string> columns;                 ///< Without those that hold pictures.
  std::vector<std::string> id = {};                 ///< The columns that name a row; none: its number does.
  std::vector<std::string> pictures = {"image"};    ///< The columns that hold some; none: they are elsewhere.
  std::string split = {};                           ///< Of the files; empty: that of the options.
  std::function<bool(const Json& row)> wants = {};  ///< Null: every row.
};

/// The Parquet files of a split, or its JSON lines with the same columns. Throws Error{bad_file} if there are none.
std::vector<std::filesystem::path> hub_files(const HubSet& set, const std::filesystem::path& folder,
                                             const std::string& split);

/// The rows of a split, read once, and its pictures, read when they are asked for.
class HubRows {
 public:
  /// Throws Error{bad_file}.
  HubRows(const HubSet& set, const TaskOptions& options);

  int64_t size() const { return static_cast<int64_t>(rows_.size()); }
  const Json& row(int64_t i) const { return at(i).row; }
  /// No other row has it.
  const std::string& id(int64_t i) const { return at(i).id; }
  /// For messages: the file and the record.
  std::string name(int64_t i) const { return files_->name(at(i).place); }
  /// Those of these columns; a column with a list has several. `required`: else a column may be empty. Throws
  /// Error{bad_file} without the row's name.
  std::vector<image::Source> pictures(int64_t i, const std::vector<std::string>& columns, bool required) const;

 private:
  struct Row {
    Json row;
    std::string id;
    int64_t place;  ///< In `files_`.
  };
  const Row& at(int64_t i) const { return rows_.at(static_cast<std::size_t>(i)); }

  std::unique_ptr<data::Rows> files_;  ///< With the columns of pictures.
  data::Pictures place_;
  std::vector<Row> rows_;
};

}  // namespace lithe::tasks
