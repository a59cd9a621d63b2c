#include "checkpoints/read/gguf/files.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/lower_case.h"
#include "base/printable.h"
#include "io/gguf.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> gguf_files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    const fs::path& path = entry->path();
    if (in_lower_case(path.extension().string()) == ".gguf" && io::is_gguf(path)) files.push_back(path);
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool holds_other_weights(const fs::path& folder) {
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    const std::string ending = entry->path().extension().string();
    if (ending == ".safetensors" || ending == ".bin" || ending == ".pth") return true;
  }
  return false;
}

/// By its name, as llama.cpp looks for it too, else by what the file says that it holds.
bool is_mmproj(const fs::path& file) {
  return in_lower_case(file.filename().string()).find("mmproj") != std::string::npos ||
         io::gguf_architecture(file) == "clip";
}

std::string listed(const std::vector<fs::path>& files) {
  constexpr size_t kMostShown = 6;
  std::string text;
  for (size_t i = 0; i < std::min(files.size(), kMostShown); ++i)
    text += (i == 0 ? "" : ", ") + printable(files[i].filename().string());
  return files.size() > kMostShown ? text + ", .." : text;
}

}  // namespace

bool is_gguf_model(const fs::path& model) {
  std::error_code code;
  if (!fs::is_directory(model, code)) return io::is_gguf(model);
  return !gguf_files_in(model).empty() && !holds_other_weights(model);
}

void refuse_gguf(const fs::path& model, const char* verb) {
  require(!is_gguf_model(model), Fault::bad_request, model.string(),
          ": is a GGUF model, which is read but not written; ", verb, " the model that it was converted from");
}

GgufFiles find_gguf_files(const fs::path& model, const fs::path& mmproj) {
  std::error_code code;
  const bool is_folder = fs::is_directory(model, code);
  const fs::path folder = is_folder ? model : model.parent_path();
  GgufFiles found{.text = is_folder ? fs::path() : model, .mmproj = mmproj};
  require(mmproj.empty() || io::is_gguf(mmproj), Fault::bad_file, in_quotes(mmproj.string()),
          " is not a GGUF file; give the mmproj that belongs to the text model");
  std::vector<fs::path> texts, towers;
  for (const fs::path& file : gguf_files_in(folder)) {
    if (fs::equivalent(file, found.text, code) || fs::equivalent(file, mmproj, code)) continue;
    if (!is_folder && !mmproj.empty()) break;  // both are given
    (is_mmproj(file) ? towers : texts).push_back(file);
  }
  if (is_folder) {
    require(!texts.empty(), Fault::bad_file, folder.string(), ": holds no GGUF text model, only ", listed(towers),
            "; put the text model into it");
    require(texts.size() == 1, Fault::bad_file, folder.string(), ": holds several GGUF text models (", listed(texts),
            "); give the file instead of the folder");
    found.text = texts[0];
  }
  if (!mmproj.empty() || towers.empty()) return found;
  require(towers.size() == 1, Fault::bad_file, folder.string(), ": holds several mmproj files (", listed(towers),
          "); say with --mmproj which belongs to the model");
  found.mmproj = towers[0];
  found.found = true;
  return found;
}

}  // namespace lithe::models
