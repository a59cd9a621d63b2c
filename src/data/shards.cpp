#include "data/shards.h"

#include <glob.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "data/format.h"

namespace lithe::data {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> fits(const fs::path& pattern) {
  glob_t found{};
  const int code = ::glob(pattern.c_str(), GLOB_ERR, nullptr, &found);
  const std::vector<fs::path> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  require(code == 0 || code == GLOB_NOMATCH, Fault::bad_file, "The files ", in_quotes(pattern.string()),
          " can't be listed.");
  require(!paths.empty(), Fault::bad_file, "No file fits ", in_quotes(pattern.string()), "; check the path.");
  return paths;  // sorted by glob
}

/// The files of each format, by what their names end in.
std::map<std::string, std::vector<fs::path>> by_format(const fs::path& folder) {
  std::map<std::string, std::vector<fs::path>> found;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    const fs::path& path = entry->path();
    for (const Format& format : formats()) {
      const auto& ends = format.extensions;
      if (std::find(ends.begin(), ends.end(), path.extension()) != ends.end()) found[format.name].push_back(path);
    }
  }
  require(!code, Fault::bad_file, "The folder ", in_quotes(folder.string()), " can't be read: ", code.message(), ".");
  return found;
}

std::vector<fs::path> files_in(const fs::path& folder) {
  auto found = by_format(folder);
  // What lies beside tables and archives in JSON describes them.
  if (found.size() > 1) found.erase("JSON");
  require(!found.empty(), Fault::bad_file, "The folder ", in_quotes(folder.string()), " holds no data set.");
  require(found.size() == 1, Fault::bad_file, "The folder ", in_quotes(folder.string()),
          " holds files of two formats, ", found.begin()->first, " and ", found.rbegin()->first,
          "; say which, for example with ",
          in_quotes((folder / concat("*", found.begin()->second.front().extension().string())).string()), ".");
  std::vector<fs::path>& files = found.begin()->second;
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::vector<fs::path> shards_of(const fs::path& path) {
  std::error_code code;
  if (fs::is_directory(path, code)) return files_in(path);
  if (is_there(path)) return {path};
  if (path.native().find_first_of("*?[") != std::string::npos) return fits(path);
  fail(Fault::bad_file, "The data set ", in_quotes(path.string()), " is not there; check its path.");
}

}  // namespace lithe::data
