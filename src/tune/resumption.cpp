#include "tune/resumption.h"

#include <array>
#include <vector>

#include "base/error.h"
#include "tune/search_files.h"

namespace lithe::tune {

namespace fs = std::filesystem;

std::optional<fs::path> checkpoint_to_resume(const Recipe& recipe) {
  const std::vector<CheckpointFolder> found = checkpoints_in(recipe.output_dir);
  if (!recipe.resume_from_checkpoint) {
    std::error_code none;
    const fs::path output(recipe.output_dir);
    const bool has_steps = fs::file_size(output / "log.jsonl", none) > 0 && !none;
    require(
        has_steps || !(fs::exists(output / "config.json", none) || fs::exists(output / "adapter_config.json", none)),
        Fault::bad_request, recipe.output_dir, ": holds another model; name another output_dir");
    require(found.empty() && !has_steps, Fault::bad_request, recipe.output_dir,
            ": holds a run; write `resume_from_checkpoint: true` to go on with it, or name another ", "output_dir");
    return std::nullopt;
  }
  if (is_search_checkpoint(*recipe.resume_from_checkpoint)) return std::nullopt;
  if (!recipe.resume_from_checkpoint->empty()) return fs::path(*recipe.resume_from_checkpoint);
  return found.empty() ? std::nullopt : std::optional(found.back().path);
}

std::string compare_settings(const Recipe& recipe, const std::string& before,
                             const std::function<void(const std::string&)>& told) {
  const Json settings = settings_of(recipe);
  const Json old = before.empty() ? settings : Json::parse(before, nullptr, false);
  for (const auto& [key, value] : settings.items()) {
    const bool same = old.is_object() && old.contains(key) && old.at(key) == value;
    const bool may_change = key == "resume_from_checkpoint" || key == "output_dir" ||
                            key == "per_device_train_batch_size" || key == "gradient_accumulation_steps";
    if (!same && !may_change && told)
      told(concat("goes on with another ", key, " than before, so its losses may be other ones"));
  }
  return json_text(settings);
}

void require_alike(const Ranks& ranks, const Recipe& recipe, const RunPoint& point, int64_t records) {
  constexpr size_t kExact = (size_t{1} << 53) - 1;  // what a double holds
  const size_t settings =
      std::hash<std::string>()(settings_of(recipe).dump(-1, ' ', true, Json::error_handler_t::replace));
  const std::array<double, 4> start{static_cast<double>(point.step), static_cast<double>(point.taken),
                                    static_cast<double>(records), static_cast<double>(settings & kExact)};
  require(ranks.agree(start), Fault::bad_file,
          "the ranks do not start alike; all machines need the same recipe and the same data, and must share ",
          "output_dir with its checkpoints");
}

}  // namespace lithe::tune
