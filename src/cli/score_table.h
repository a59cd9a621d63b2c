#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace lithe::cli {

/// Prints the scores of a result of `lithe eval` as a table, and a note on stderr for each that has no value.
/// `why_none`: printed if there is no score at all.
void print_scores(const std::string& task, const Json& result, const std::string& why_none);

/// A result under one plan, and why it has no score if it has none.
struct PlanScores {
  Json result;
  std::string why_none;
};

/// The same for several plans side by side, with standard errors in brackets, and the counted operations of each plan,
/// where 1 is dense.
void print_scores(const std::string& task, const std::vector<PlanScores>& plans);

/// Why a result without scores has none. `error`: of the first question that failed; empty: it is not known.
std::string why_no_scores(int64_t answered, int64_t failed, const std::string& error);

}  // namespace lithe::cli
