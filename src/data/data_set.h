#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/record.h"
#include "image/decode.h"

namespace lithe::data {

/// Where a data set lies and how its records are written. Only `path` is needed: what is left empty is found out.
struct SetOptions {
  std::filesystem::path path;    ///< A file, a folder or glob of shards, or a LLaMA-Factory dataset_info.json.
  std::filesystem::path images;  ///< Folder or .zip that picture names are relative to. Empty: the folder of `path`.
  std::string entry;             ///< Of a dataset_info.json: which data set. Empty: the only one.
  std::string formatting;        ///< LLaMA-Factory's "sharegpt" or "alpaca". Empty: told by each record's fields.
  std::map<std::string, std::string> columns;  ///< LLaMA-Factory's names: {"messages": "chat", "images": "photos"}.
  std::map<std::string, std::string> tags;     ///< The same: {"role_tag": "speaker", "user_tag": "person"}.
  image::DecodeOptions decode;                 ///< How pictures become pixels.
};

/// Records that can be read in any order. Big files are indexed once; a record is parsed when it is read.
class DataSet {
 public:
  /// Throws Error{bad_file} for files that are missing, damaged or of an unknown format, Error{bad_request} for options
  /// that don't fit together.
  static std::unique_ptr<DataSet> open(const SetOptions& options);

  virtual ~DataSet() = default;
  virtual int64_t size() const = 0;
  /// Record `i` from 0; its pictures' headers are read, their pixels are not decoded. Safe to call from several
  /// threads. Throws Error{bad_file} that names the record.
  virtual Record read(int64_t i) const = 0;
  /// The same without its pictures, whose files need not be opened then.
  virtual Record read_turns(int64_t i) const {
    Record record = read(i);
    record.images.clear();
    return record;
  }
  /// What an answer in the place of the last turn of record `i` is worth, from 0 to 1. Absent: the set does not say.
  virtual std::optional<double> worth(int64_t, const std::string&) const { return std::nullopt; }
  /// The answers that a head tells apart which learns this set, by class; empty: the set does not say, so that a head
  /// tells apart whatever the records answer. The first call may read the whole set.
  virtual std::vector<std::string> labels() const { return {}; }
};

}  // namespace lithe::data
