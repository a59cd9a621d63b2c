#pragma once

#include <string>

#include "cli/cli11.h"
#include "tasks/task.h"

namespace lithe::cli {

/// The language model that reads answers which no rule can.
struct JudgeFlags {
  std::string url, model;

  /// Its name; `protocol`: whose judge it stands for, if it has no name.
  std::string name(tasks::Protocol protocol) const;
  /// Null without --judge. The key is that of the variable LITHE_JUDGE_KEY. Throws Error{bad_request}.
  tasks::Judge read(tasks::Protocol protocol) const;
};

/// Declares --judge and --judge-model.
void add_judge(CLI::App& app, JudgeFlags& flags);

}  // namespace lithe::cli
