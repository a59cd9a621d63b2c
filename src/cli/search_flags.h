#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/options.h"
#include "tune/recipe.h"

namespace lithe::cli {

/// The flags of `lithe search`, for both of its searches: for redundant attentions (with --skip), and for a plan under
/// a budget.
struct SearchFlags {
  CommonOptions common;
  std::string model, data, eval_data, plan, out = "search";
  std::string task, split, eval_split;  ///< A benchmark whose folder `data` is, and parts of it; empty: any records.
  std::optional<int64_t> skip;
  std::optional<int64_t> steps, samples;
  std::optional<double> budget;  ///< With --skip minutes, else a share of dense.
  std::optional<std::string> metric;
};

/// The data of a search; of the second, no path if a part of the first takes its place. Throws Error{bad_request} for
/// a split without a task.
tune::DataSet searched_data(const SearchFlags& flags);
tune::DataSet checking_data(const SearchFlags& flags);

/// The search for a plan under a budget. -> the exit code
int search_budget(const SearchFlags& flags);

}  // namespace lithe::cli
