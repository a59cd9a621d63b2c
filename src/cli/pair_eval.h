#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "cli/options.h"
#include "tasks/task.h"

namespace lithe::cli {

/// `lithe eval` over METER.
struct PairEvalOptions {
  CommonOptions common;
  std::string model, task;
  std::filesystem::path output;
  tasks::TaskOptions how;
  std::optional<std::string> plan;
  std::optional<int64_t> limit;
  int64_t together = 16;  ///< Questions at a time; of a ranking all.
};

/// Scores the questions of a benchmark by the head that is for it. Returns the exit code. `print` shows the result.
int run_pair_eval(const PairEvalOptions& options, const std::function<void(const Json& result)>& print);

}  // namespace lithe::cli
