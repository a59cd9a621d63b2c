#include "base/error.h"
#include "base/json.h"
#include "data/format.h"
#include "data/table_boundary.h"

namespace lithe::data {
namespace {

/// A Parquet file, an Arrow file or an Arrow stream.
class TableRows final : public Rows {
 public:
  TableRows(io::Bytes file, const std::vector<std::string>& wanted) : file_(std::move(file)) {
    const std::string columns = json_text(Json(wanted));
    LitheTable* table = nullptr;
    LitheBytes error{};
    const std::string_view bytes = io::as_text(file_.span);
    check_rust(lithe_table_open(bytes.data(), bytes.size(), columns.data(), columns.size(), &table, &error), error,
               Fault::bad_file, file_.file);
    table_.reset(table);
  }

  int64_t size() const override { return static_cast<int64_t>(lithe_table_rows(table_.get())); }

  Json read(int64_t i) const override {
    LitheBytes row{}, error{};
    const int code = lithe_table_read(table_.get(), static_cast<uint64_t>(i), &row, &error);
    check_rust(code, error, Fault::bad_file, "its row can't be read");
    const std::unique_ptr<LitheBytes, void (*)(LitheBytes*)> guard(&row,
                                                                   [](LitheBytes* all) { lithe_bytes_free(*all); });
    return Json::from_cbor(row.data, row.data + row.size);
  }

  std::string name(int64_t i) const override { return concat(file_.file, ", record ", i + 1); }

 private:
  struct Close {
    void operator()(LitheTable* table) const { lithe_table_close(table); }
  };
  io::Bytes file_;  ///< Stays while the table is open.
  std::unique_ptr<LitheTable, Close> table_;
};

}  // namespace

bool is_parquet(std::span<const std::byte> file) {
  return io::as_text(file).starts_with("PAR1");
}

bool is_arrow(std::span<const std::byte> file) {
  const std::string_view bytes = io::as_text(file);
  return bytes.starts_with("ARROW1") || bytes.starts_with("\xFF\xFF\xFF\xFF");
}

std::unique_ptr<Rows> open_table(io::Bytes file, const std::vector<std::string>& wanted) {
  return std::make_unique<TableRows>(std::move(file), wanted);
}

}  // namespace lithe::data
