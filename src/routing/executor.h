#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "routing/batch.h"
#include "routing/block.h"
#include "routing/resolve.h"

namespace lithe::routing {

/// The rows that a cross-attention or a METER PIA reads: the other stream's values at this layer's entry.
struct OtherStream {
  Tensor hidden;                 ///< [rows, hidden]
  std::vector<int64_t> offsets;  ///< [sequences + 1]
  std::vector<RowKind>
      kinds;  ///< [rows], or empty: all real. Padding offers no keys, but a PIA's mean counts it, as published
};

/// Runs the blocks of one stream, one after another, over a packed batch under each sequence's plan. It is the only
/// code that runs a block: a vision tower, a decoder's prefill, decode and training, a stream of METER. Which rows are
/// alive may shrink from layer to layer; positions stay the original ones.
class Executor {
 public:
  /// `stream` names the plan's stream ("decoder"). `layers`: how many blocks will run, to know where attention must be
  /// watched.
  Executor(Batch batch, std::string stream, int64_t layers);

  /// x: [alive rows, hidden] -> [rows alive after, hidden].  `layer` counts up from call to call.
  Tensor run(const Block& block, int64_t layer, Tensor x, const std::optional<OtherStream>& other = std::nullopt);

  /// The rows that are alive now.
  const Batch& batch() const { return batch_; }

  void observe(Observer observer) { observer_ = std::move(observer); }

 private:
  Tensor run_sites(const Block& block, int64_t layer, const Tensor& x, const RowSets& sets,
                   const std::optional<OtherStream>& other);
  void keep_survivors(const Rows& survivors);

  Batch batch_;
  std::string stream_;
  int64_t layers_;
  std::vector<std::vector<bool>> watched_;  // [sequence][layer]: an `attention` rule reads this layer's scores
  AttentionScores scores_;
  Observer observer_;
};

}  // namespace lithe::routing
