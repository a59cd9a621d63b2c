#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/json.h"
#include "temporary_folder.h"

namespace lithe::tune {

inline const std::filesystem::path kShippedModels = LITHE_SOURCE_DIR "/models";

/// Shipped questions with their right answers, every `step`-th one from `first` on.
inline std::string shipped_questions(const lithe::test::TemporaryFolder& folder, const std::string& name, int64_t first,
                                     int64_t step, int64_t count) {
  if (!std::filesystem::exists(folder / "images"))
    std::filesystem::create_directory_symlink(kShippedModels / "images", folder / "images");
  std::ifstream in(kShippedModels / "answers.jsonl");
  std::ofstream out(folder / name);
  std::string line;
  for (int64_t i = 0; std::getline(in, line) && count > 0; ++i) {
    if (i < first || (i - first) % step != 0) continue;
    const Json one = parse_json(line, "answers.jsonl");
    out << Json{{"image", one.at("image")},
                {"conversations",
                 {{{"from", "human"}, {"value", "<image>\n" + one.at("question").get<std::string>()}},
                  {{"from", "gpt"}, {"value", one.at("gold")}}}}}
               .dump()
        << "\n";
    --count;
  }
  return (folder / name).string();
}

}  // namespace lithe::tune
