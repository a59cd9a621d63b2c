#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

/// log.jsonl of a run: one line per optimiser step.
namespace lithe::tune {

struct StepRecord {
  int64_t step = 0;      ///< From 1.
  double loss = 0;       ///< Before the step; the mean over the labels that count.
  double grad_norm = 0;  ///< Before clipping.
  double lr = 0;         ///< Of the first group, in this step.
  int64_t tokens = 0;    ///< Rows that the step computed.
  double seconds = 0;    ///< That the step took.
  /// Further keys, which the report and TensorBoard show: kept_share (of all vision rows), kept_shares and
  /// router_weights (objects by layer: {"12": 0.67}), eval_loss, eval_score.
  Json more = Json::object();
};

/// The line of a record, without its end. Numbers keep every bit; what is not finite becomes null.
std::string line_of(const StepRecord& record);

/// The records of a log, in order. A last line without its end was cut off by a kill and is left out; a null number is
/// NaN. Throws Error{bad_file} with the line for anything else that is not a record.
std::vector<StepRecord> read_step_log(const std::filesystem::path& path);

/// The log of a run that goes on, open for appending.
class StepLog {
 public:
  /// Keeps of a log that is there the steps up to `last_step` (0: none), as a run that resumes repeats the others.
  /// Throws Error{bad_file}.
  StepLog(std::filesystem::path path, int64_t last_step);
  ~StepLog();
  StepLog(const StepLog&) = delete;
  StepLog& operator=(const StepLog&) = delete;

  /// Appends one line; it has left this process when the call returns. Throws Error{bad_file}.
  void write(const StepRecord& record);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace lithe::tune
