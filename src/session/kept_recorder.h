#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "routing/batch.h"
#include "session/prompt_rows.h"
#include "session/session.h"

namespace lithe::session {

/// Collects which vision rows of every picture of a prompt each layer ran, and of which it only computed keys and
/// values, for layers that left some rows out.
class KeptRecorder {
 public:
  explicit KeptRecorder(const PromptRows& prompt);

  /// Takes what a layer did with the prompt, which is sequence `sequence` of its batch.
  void record(const routing::LayerReport& report, size_t sequence);
  /// Forgets what was taken, as the prompt runs again.
  void restart();
  std::vector<KeptMap> take() { return std::move(maps_); }
  /// Per layer: rows that ran.
  const std::vector<int64_t>& rows_run() const { return rows_run_; }

 private:
  struct Stretch {
    int64_t first = 0, count = 0;  // rows of the prompt
  };
  int64_t rows_;
  std::vector<Stretch> pictures_;
  std::vector<KeptMap> maps_;
  std::vector<int64_t> rows_run_;
};

}  // namespace lithe::session
