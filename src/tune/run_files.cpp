#include "tune/run_files.h"

#include "io/atomic_file.h"

namespace lithe::tune {
namespace {

constexpr const char* kLog = "log.jsonl";

/// "demo-dense: p-MoD, LoRA"
std::string title_of(const Recipe& recipe) {
  std::string methods;
  const auto add = [&](bool there, const char* name) {
    if (there) methods += (methods.empty() ? "" : ", ") + std::string(name);
  };
  add(recipe.p_mod.has_value(), "p-MoD");
  add(recipe.eas.has_value(), "EAS");
  add(recipe.lora.has_value(), "LoRA");
  const std::filesystem::path model(recipe.model_name_or_path);
  const std::string name = model.has_filename() ? model.filename().string() : model.parent_path().filename().string();
  return name + (methods.empty() ? "" : ": " + methods);
}

}  // namespace

RunFiles::RunFiles(const Recipe& recipe, int64_t last_step)
    : recipe_(recipe), folder_(recipe.output_dir), log_(folder_ / kLog, last_step) {
  if (!recipe.tensorboard) return;
  events_.emplace(folder_ / "runs", last_step + 1);
  const std::string settings = json_text(settings_of(recipe), 2);
  events_->text(last_step, "recipe", "```json\n" + settings + "\n```");
}

void RunFiles::step(const StepRecord& record) {
  log_.write(record);
  const bool is_point = record.step % recipe_.logging_steps == 0 || record.more.contains("eval_loss");
  if (events_ && is_point) events_->scalars(record);
}

void RunFiles::report(const std::vector<std::pair<std::string, std::string>>& facts,
                      const std::vector<ReportedAnswer>& answers) const {
  if (!recipe_.html) return;
  const Report report{.title = title_of(recipe_),
                      .facts = facts,
                      .steps = read_step_log(folder_ / kLog),
                      .answers = answers,
                      .settings = settings_of(recipe_),
                      .redundancy = redundancy_};
  io::write_text_atomic(folder_ / "report.html", html_of(report));
}

}  // namespace lithe::tune
