#include "data/data_set.h"

#include "base/error.h"
#include "base/printable.h"
#include "data/dataset_info.h"
#include "data/dialect.h"
#include "data/format.h"
#include "data/needed.h"
#include "data/pictures.h"
#include "data/shards.h"

namespace lithe::data {
namespace {

namespace fs = std::filesystem;

/// Rows, what their fields mean, and where their pictures lie.
class RecordSet final : public DataSet {
 public:
  RecordSet(std::unique_ptr<Rows> rows, Dialect dialect, Pictures pictures)
      : rows_(std::move(rows)), dialect_(std::move(dialect)), pictures_(std::move(pictures)) {}

  int64_t size() const override { return rows_->size(); }

  Record read(int64_t i) const override { return read(i, true); }
  Record read_turns(int64_t i) const override { return read(i, false); }

 private:
  Record read(int64_t i, bool pictures) const {
    require(i >= 0 && i < size(), Fault::internal, "Record ", i, " of a data set of ", size(), " was asked for.");
    Record record{rows_->name(i)};
    try {
      const Json row = rows_->read(i);
      if (const auto id = Dialect::id_of(row)) record.name += concat(", id ", in_quotes(*id));
      Draft draft = dialect_.draft(row);
      record.turns = std::move(draft.turns);
      if (!pictures) return record;
      for (const Json& picture : draft.pictures) record.images.push_back(pictures_.find(picture));
      record.needed = needed_in(row, record.images.size());
    } catch (const Error& error) {
      throw Error(error.fault(), concat(record.name, ": ", error.what()));
    }
    return record;
  }

  std::unique_ptr<Rows> rows_;
  Dialect dialect_;
  Pictures pictures_;
};

fs::path folder_of(const fs::path& file) {
  const fs::path folder = file.parent_path();
  return folder.empty() ? "." : folder;
}

}  // namespace

std::unique_ptr<DataSet> DataSet::open(const SetOptions& options) {
  if (is_dataset_info(options.path)) return open(resolve_dataset_info(options));
  require(options.entry.empty(), Fault::bad_request, options.path.string(),
          ": is not a dataset_info.json, so it has no entry ", in_quotes(options.entry),
          "; leave the name out, or give the path of that file");
  Dialect dialect(options.formatting, options.columns, options.tags);
  const std::vector<fs::path> files = shards_of(options.path);
  std::unique_ptr<Rows> rows = open_rows(files, dialect.wanted());
  Pictures pictures(options.images.empty() ? folder_of(files.front()) : options.images, options.decode);
  return std::make_unique<RecordSet>(std::move(rows), std::move(dialect), std::move(pictures));
}

}  // namespace lithe::data
