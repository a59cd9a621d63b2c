#include "data/format.h"

#include "base/error.h"
#include "base/file.h"
#include "data/tar_index.h"
#include "io/mapped_file.h"

namespace lithe::data {

const std::vector<Format>& formats() {
  static const std::vector<Format> catalogue{
      {"Parquet", {".parquet"}, is_parquet, open_table},
      {"Arrow", {".arrow"}, is_arrow, open_table},
      {"WebDataset tar", {".tar"}, is_tar, open_web_dataset},
      {"JSON", {".json", ".jsonl"}, is_json, open_json},
  };
  return catalogue;
}

std::unique_ptr<Rows> open_rows(const std::filesystem::path& path, const std::vector<std::string>& wanted) {
  io::Bytes file = io::map_file(path);
  refuse_lfs_pointer(io::as_text(file.span.first(std::min(file.span.size(), kLfsPointer.size()))), path);
  for (const Format& format : formats()) {
    if (format.recognises(file.span)) return format.open(std::move(file), wanted);
  }
  require(!io::as_text(file.span).starts_with("\x1f\x8b"), Fault::bad_file, path.string(),
          ": is packed with gzip; unpack it first");
  std::string names;
  for (const Format& format : formats()) names.append(names.empty() ? "" : ", ").append(format.name);
  fail(Fault::bad_file, path.string(), ": is not a data set of a known format (", names, ")");
}

std::unique_ptr<Rows> open_rows(const std::vector<std::filesystem::path>& files,
                                const std::vector<std::string>& wanted) {
  std::vector<std::unique_ptr<Rows>> parts;
  for (const std::filesystem::path& file : files) parts.push_back(open_rows(file, wanted));
  return join(std::move(parts));
}

}  // namespace lithe::data
