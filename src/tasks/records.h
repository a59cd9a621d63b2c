#pragma once

#include <memory>

#include "data/data_set.h"
#include "tasks/task.h"

namespace lithe::tasks {

/// A task's questions with their right answers as the last turn: what a model is tuned on. Throws Error{bad_request}
/// for a task that has no answers in words.
std::unique_ptr<data::DataSet> records_of(const std::string& name, const TaskOptions& options);

}  // namespace lithe::tasks
