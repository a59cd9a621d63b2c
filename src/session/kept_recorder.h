#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "routing/batch.h"
#include "session/prompt_rows.h"
#include "session/session.h"

namespace lithe::session {

/// What one layer did with the rows of a prompt: positions, ascending.
struct LayerRun {
  std::vector<int64_t> ran;      ///< Ran the feed-forward network.
  std::vector<int64_t> offered;  ///< Did not, but their keys and values were computed.

  /// The same of the first rows.
  LayerRun first(int64_t rows) const;
};

/// Collects which rows of a prompt each layer ran, and of which it only computed keys and values.
class KeptRecorder {
 public:
  explicit KeptRecorder(const PromptRows& prompt);

  /// The first rows are held already; `runs`: what the layers did with them.
  void begin_after(std::vector<LayerRun> runs);
  /// Takes what a layer did with the prompt, which is sequence `sequence` of its batch.
  void record(const routing::LayerReport& report, size_t sequence);
  /// Forgets what was taken since begin_after(), as these rows run again.
  void restart() { runs_.clear(); }

  /// The rows of every picture that each layer ran, for layers that left some rows out. Call it once.
  std::vector<KeptMap> take_maps();
  /// Per layer: how many rows ran.
  std::vector<int64_t> rows_run() const;
  const std::vector<LayerRun>& runs() const { return runs_; }

 private:
  struct Picture {
    std::vector<image::HeatView> views;
    int64_t first = 0, count = 0;  // rows of the prompt
  };
  int64_t rows_;
  std::vector<Picture> pictures_;
  std::vector<LayerRun> held_;  // per layer, or empty: nothing is held
  std::vector<LayerRun> runs_;  // per layer
};

}  // namespace lithe::session
