#include "golden/folders.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <algorithm>

#include "base/error.h"
#include "io/atomic_file.h"

namespace lithe::golden {

namespace fs = std::filesystem;

TempFolder::TempFolder() {
  std::string name = (fs::temp_directory_path() / "lithe-golden-XXXXXX").string();
  require(mkdtemp(name.data()) != nullptr, Fault::bad_file, "No temporary folder can be made at ", name, ".");
  path_ = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

namespace {

bool is_weights(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.ends_with(".safetensors") || name.ends_with(".bin") || name.ends_with(".index.json");
}

void link_into(const fs::path& file, const fs::path& folder) {
  const fs::path link = folder / file.filename();
  if (!fs::exists(fs::symlink_status(link))) fs::create_symlink(fs::absolute(file), link);
}

}  // namespace

std::vector<CheckpointForm> forms_of(const fs::path& case_folder) {
  std::vector<CheckpointForm> forms;
  for (const auto& entry : fs::directory_iterator(case_folder)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || !name.starts_with("checkpoint") || !fs::exists(entry.path() / "config.json")) continue;
    for (const auto& file : fs::directory_iterator(entry.path())) {
      const std::string config = file.path().filename().string();
      if (config == "config.json") forms.push_back({name, entry.path(), file.path()});
      if (config.starts_with("config.") && config != "config.json" && config.ends_with(".json")) {
        forms.push_back({name + "/" + config, entry.path(), file.path()});
      }
    }
  }
  std::sort(forms.begin(), forms.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return forms;
}

fs::path assemble(const CheckpointForm& form, const Json& changes, const TempFolder& temp) {
  const fs::path case_folder = form.folder.parent_path();
  const fs::path root = temp.path() / fmt::format("case{}", std::distance(fs::directory_iterator(temp.path()), {}));
  const fs::path model = root / form.folder.filename();
  fs::create_directories(model);
  Json config = read_json_file(form.config);
  config.update(changes);
  io::write_text_atomic(model / "config.json", config.dump());
  for (const auto& file : fs::directory_iterator(form.folder)) link_into(file.path(), model);
  const fs::path base = case_folder / "checkpoint";
  if (fs::is_directory(base)) {
    for (const auto& file : fs::directory_iterator(base)) {
      if (!is_weights(file.path())) link_into(file.path(), model);
    }
  }
  for (const auto& entry : fs::directory_iterator(case_folder)) {
    if (!entry.path().filename().string().starts_with("checkpoint")) link_into(entry.path(), root);
  }
  return model;
}

}  // namespace lithe::golden
