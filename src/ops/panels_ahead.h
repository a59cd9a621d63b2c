#pragma once

#include <algorithm>
#include <cstdint>

#include "ops/prefetch.h"

namespace lithe::ops {

/// Rows of weights that are turned and multiplied together.
constexpr int64_t kPanelRows = 32;

/// Fetches panels of rows that will be turned soon. It is some KB of each row ahead, and goes along one row after
/// another, since the processor's own prefetching follows runs of addresses, but not 32 of them at a time.
class PanelsAhead {
 public:
  /// panel: its first row is read now, and all rows after it in turn.
  PanelsAhead(const char* panel, int64_t row_bytes) : panel_(panel), row_bytes_(row_bytes) {
    next_part();
    begin_row();
  }

  /// Two lines, as two are read.
  inline __attribute__((always_inline)) void fetch() {
    __builtin_prefetch(line_, 0, kFirstLevel);
    __builtin_prefetch(line_ + kLineBytes, 0, kFirstLevel);
    line_ += 2 * kLineBytes;
    if (line_ >= end_) next_row();
  }

 private:
  static constexpr int64_t kPartBytes = 4096;

  void next_row() {
    if (++row_ == kPanelRows) next_part();
    begin_row();
  }

  void begin_row() {
    line_ = panel_ + row_ * row_bytes_ + part_;
    end_ = line_ + std::min(kPartBytes, row_bytes_ - part_);
  }

  void next_part() {
    row_ = 0;
    part_ += kPartBytes;
    if (part_ < row_bytes_) return;
    part_ = 0;
    panel_ += kPanelRows * row_bytes_;
  }

  const char* panel_;
  int64_t row_bytes_, part_ = 0, row_ = 0;
  const char *line_ = nullptr, *end_ = nullptr;
};

}  // namespace lithe::ops
