#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tasks/items.h"
#include "tasks/task.h"

namespace lithe::tasks {

/// A task whose answer is one of a few labels, and whose table is the accuracy.
struct LabelSet {
  std::vector<std::string> labels;  ///< In the order of the scores of METER's heads.
  std::string instruction;
  std::unique_ptr<Items> items;  ///< `more`: the number of the right label, or null if it is secret.
};

std::unique_ptr<Task> label_task(LabelSet set);

/// The number of a label's name. Throws Error{bad_file}.
int64_t label_named(const std::vector<std::string>& labels, const std::string& name);

}  // namespace lithe::tasks
