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
  /// `stream` names the plan's stream ("decoder"). `layers`: how many blocks will run, to know which of them later
  /// rules read.
  Executor(Batch batch, std::string stream, int64_t layers);

  /// x: [alive rows, hidden] -> [rows alive after, hidden].  `layer` counts up from call to call.
  Tensor run(const Block& block, int64_t layer, Tensor x, const std::optional<OtherStream>& other = std::nullopt);

  /// The rows that are alive now.
  const Batch& batch() const { return batch_; }

  void observe(Observer observer) { observer_ = std::move(observer); }
  /// Records, of every sequence, the keys of this layer's self-attention and how its first row attends to all others.
  void watch_first_row(int64_t layer);
  /// [sequences] what was recorded last.
  const std::vector<Recorded>& recorded() const { return recorded_; }
  /// In training, a block keeps its input only and runs again for its gradients (recomputed_block.h).
  void recompute(bool on) { recomputes_ = on; }

 private:
  RowSets resolved(const Block& block, int64_t layer, const Tensor& x) const;
  void forget_keys(const RowSets& sets);
  std::vector<Watch> watched_at(int64_t layer) const;
  void find_text_raters(const Tensor& x);

  Batch batch_;
  std::string stream_;
  int64_t layers_;
  std::vector<std::vector<Watch>> watched_;  // [sequence][layer] what rules of later layers read
  std::vector<bool> compares_;               // [layer] a rule compares its input with that of the layer before
  std::vector<Recorded> recorded_;           // [sequences]
  std::optional<Tensor> before_;             // [alive rows, hidden] of these rows, the input of the layer before
  Observer observer_;
  bool recomputes_ = false;
};

}  // namespace lithe::routing
