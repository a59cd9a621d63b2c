#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tune/event_file.h"
#include "tune/recipe.h"
#include "tune/report.h"
#include "tune/step_log.h"

namespace lithe::tune {

/// What a run leaves in its output_dir beside weights: log.jsonl, TensorBoard files in runs/, report.html.
class RunFiles {
 public:
  /// `last_step`: of the checkpoint that the run goes on from, or 0. Throws Error{bad_file}.
  RunFiles(const Recipe& recipe, int64_t last_step);

  /// A line of the log; a point in TensorBoard every logging_steps and for each evaluation ("eval_loss" in `more`).
  void step(const StepRecord& record);

  /// Writes the report over the whole log anew, steps before a resumption included.
  void report(const std::vector<std::pair<std::string, std::string>>& facts,
              const std::vector<ReportedAnswer>& answers) const;

  /// What a search found, for the report.
  void searched(BarChart redundancy) { redundancy_ = std::move(redundancy); }

 private:
  const Recipe& recipe_;
  std::filesystem::path folder_;
  StepLog log_;
  std::optional<EventFile> events_;
  std::optional<BarChart> redundancy_;
};

}  // namespace lithe::tune
