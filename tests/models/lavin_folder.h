#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "io/atomic_file.h"

namespace lithe::test {

/// The parts of the golden cases `lavin` (LLaMA, CLIP) and NAME (the adapter) in `folder`, as links. Without a
/// config.json: the tower's heads are those that the rule for narrow towers gives. `lavin_eas` gets a plan.json.
inline void link_lavin(const std::string& name, const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  const fs::path golden = fs::path(LITHE_TEST_DATA) / "golden";
  fs::create_directories(folder);
  for (const char* part : {"llama", "clip"}) fs::create_symlink(golden / "lavin/checkpoint" / part, folder / part);
  if (name.empty()) return;
  fs::create_symlink(golden / name / "checkpoint/adapter", folder / "adapter");
  const Json skip = read_json_file(golden / name / "case.json").at("config").at("skip");
  if (skip.empty()) return;
  const Json plan{{"format", "lithe-plan/1"}, {"name", "skip"}, {"method", "eas"}, {"layers", skip}};
  io::write_text_atomic(folder / "plan.json", plan.dump());
}

}  // namespace lithe::test
