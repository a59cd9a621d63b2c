#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/options.h"

namespace lithe::cli {

/// The flags of `lithe search`, for both of its searches: for redundant attentions (with --skip), and for a plan under
/// a budget.
struct SearchFlags {
  CommonOptions common;
  std::string model, data, eval_data, plan, out = "search";
  std::optional<int64_t> skip;
  std::optional<int64_t> steps, samples;
  std::optional<double> budget;  ///< With --skip minutes, else a share of dense.
  std::optional<std::string> metric;
};

/// The search for a plan under a budget. -> the exit code
int search_budget(const SearchFlags& flags);

}  // namespace lithe::cli
