#include "tasks/set_files.h"

#include <glob.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"

namespace lithe::tasks {
namespace fs = std::filesystem;

std::vector<fs::path> fitting(const fs::path& folder, const std::string& pattern) {
  // The folder is taken as it is, the name as a pattern.
  std::string escaped;
  for (const char c : (folder / "").string()) {
    if (std::string_view("*?[\\").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  glob_t found{};
  const int code = ::glob((escaped + pattern).c_str(), 0, nullptr, &found);
  std::vector<fs::path> paths;
  if (code == 0) paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  return paths;  // sorted by glob
}

std::optional<fs::path> found_in(const fs::path& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (name.find('*') == std::string::npos) {
      if (is_there(folder / name)) return folder / name;
      continue;
    }
    const std::vector<fs::path> fits = fitting(folder, name);
    if (!fits.empty()) return fits.front();
  }
  return std::nullopt;
}

std::string task_in(const fs::path& folder) {
  static const std::vector<std::pair<std::string, std::vector<std::string>>> kSets{
      {"scienceqa", {"pid_splits.json"}},
      {"vqav2", {"v2_OpenEnded_mscoco_*_questions.json", "vqav2_*.arrow"}},
      {"nlvr2", {"nlvr2_*.arrow"}},
      {"snli_ve", {"snli_ve_*.jsonl", "snli_*.arrow"}},
      {"flickr30k", {"dataset_flickr30k.json", "f30k_caption_karpathy_*.arrow"}},
      {"slake", {"validate.json"}}};
  std::error_code code;
  if (!fs::is_directory(folder, code)) return {};
  for (const auto& [task, files] : kSets)
    if (found_in(folder, files)) return task;
  return {};
}

std::vector<std::string> parts_of_split(const std::string& split) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= split.size();) {
    const std::size_t end = std::min(split.find('+', at), split.size());
    parts.push_back(split.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

void refuse_set(const std::string& task, const fs::path& folder, const std::vector<std::string>& names) {
  std::error_code code;
  require(fs::is_directory(folder, code), Fault::bad_file, "The folder ", in_quotes(folder.string()),
          " is not there; give the folder of ", task, " with --data.");
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  fail(Fault::bad_file, "The folder ", in_quotes(folder.string()), " does not hold ", task, ": it has none of ", list,
       "; docs/tasks.md says where the set comes from.");
}

}  // namespace lithe::tasks
