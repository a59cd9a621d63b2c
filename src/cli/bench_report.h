#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "cli/compare.h"
#include "cli/text_table.h"

namespace lithe::cli {

/// What was timed, for the columns of a report; a report takes one comparison per batch size.
struct BenchSubject {
  std::string model;
  std::string device;  ///< As session::device_name.
  int64_t weight_bytes = 0, parameters = 0, threads = 0;
  int64_t tiles = 0, tile_px = 0;
};

/// A llama-bench-style table: one row per test and plan, tokens (or pictures) per second as mean ± deviation,
/// milliseconds.
TextTable speed_table(const BenchSubject& subject, const std::vector<Comparison>& comparisons);

/// The plan beside its reference: shares of operations and of the bytes that decoding reads, ratio of medians and of
/// minima, A/A spread, measured over the share that binds: operations in prefill, the larger of the two in decoding.
TextTable ratio_table(const std::vector<Comparison>& comparisons);

/// Everything in the two tables, one object per test and plan.
Json report_json(const BenchSubject& subject, const std::vector<Comparison>& comparisons);

/// The same as one flat table, for CSV.
TextTable flat_table(const BenchSubject& subject, const std::vector<Comparison>& comparisons);

/// One sentence for every phase in which the plan was slower than its reference by more than the A/A spread; empty if
/// there is none.
std::string slower_lines(const std::vector<Comparison>& comparisons);

}  // namespace lithe::cli
