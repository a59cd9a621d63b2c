#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "data/pictures.h"
#include "data/rows.h"
#include "image/source.h"

namespace lithe::tasks {

/// A record of a set, the same however the set was downloaded.
struct Item {
  std::string id, text;
  Json more;  ///< What the task needs beside: the label, the answers.
};

/// The records of a set.
class Items {
 public:
  virtual ~Items() = default;
  virtual int64_t size() const = 0;
  /// Without its pictures. Throw Error{bad_file} that names the record.
  virtual Item read(int64_t i) const = 0;
  virtual std::vector<image::Source> pictures(int64_t i) const = 0;
};

/// A set with a record on each row: JSON, Parquet.
struct RowSet {
  std::unique_ptr<data::Rows> rows;
  std::unique_ptr<data::Rows> pictures;  ///< The same rows with the pictures; null: `rows` name files.
  data::Pictures place;
  std::function<Item(const Json& row)> item;
  std::function<std::vector<Json>(const Json& row)> picture_fields;
};
std::unique_ptr<Items> items_of(RowSet set);

/// A set as METER's Arrow files have it: a picture or two on each row, with lists of what belongs to them.
struct ListSet {
  std::vector<std::filesystem::path> files;
  std::vector<std::string> columns;   ///< The first is the list that has a value per record.
  std::vector<std::string> pictures;  ///< Columns.
  image::DecodeOptions decode;
  std::function<Item(const Json& row, std::size_t place, const std::string& key)> item;  ///< key: "row-place".
};
std::unique_ptr<Items> items_of(ListSet set);

/// The records of several sets, one after the other.
std::unique_ptr<Items> join(std::vector<std::unique_ptr<Items>> parts);

/// Runs `work`; an Error gets the record's name in front.
template <class Work>
auto naming_record(const std::string& name, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    throw Error(error.fault(), concat(name, ": ", error.what()));
  }
}

/// The value of a key. Throw Error{bad_file} if it is missing or of another type.
const Json& field(const Json& row, const char* key);
std::string text_field(const Json& row, const char* key);
/// Of a text or a whole number.
std::string id_field(const Json& row, const char* key);
/// Value `place` of the list below a key.
const Json& list_field(const Json& row, const char* key, std::size_t place);

}  // namespace lithe::tasks
