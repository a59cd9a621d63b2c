#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "routing/batch.h"
#include "routing/block.h"
#include "routing/resolve.h"

namespace lithe::routing {

/// Runs the blocks of one stream, one after another, over a packed batch under each sequence's plan. It is the only
/// loop over blocks: a vision tower, a decoder's prefill, decode and training, a stream of METER. Rows may leave from
/// layer to layer; those that stay keep their order and places.
class Executor {
 public:
  /// `stream` names the plan's stream ("decoder"). `layers`: how many blocks will run, to know which layers must record
  /// their attention scores.
  Executor(Batch batch, std::string stream, int64_t layers);

  /// x: [alive rows, hidden] -> [rows alive after, hidden].  `layer` counts up from call to call.
  Tensor run(const Block& block, int64_t layer, Tensor x, const std::optional<OtherStream>& other = std::nullopt);

  /// The rows that are alive now.
  const Batch& batch() const { return batch_; }

  void observe(Observer observer) { observer_ = std::move(observer); }
  /// In training, a block keeps its input only and runs again for its gradients (recomputed_block.h).
  void recompute(bool on) { recomputes_ = on; }

 private:
  RowSets resolved(const Block& block, int64_t layer, const Tensor& x) const;
  std::vector<bool> watched_at(int64_t layer) const;

  Batch batch_;
  std::string stream_;
  int64_t layers_;
  std::vector<std::vector<bool>> watched_;  // [sequence][layer]: an `attention` rule reads this layer's scores
  AttentionScores scores_;
  Observer observer_;
  bool recomputes_ = false;
};

}  // namespace lithe::routing
