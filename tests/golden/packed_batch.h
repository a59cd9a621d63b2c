#pragma once

#include <map>
#include <string>
#include <vector>

#include "models/model.h"
#include "nn/layer_state.h"

namespace lithe::golden {

/// One sequence of a packed batch.
struct PackedSequence {
  at::Tensor embeddings;                ///< [rows, hidden]
  std::vector<routing::RowKind> kinds;  ///< [rows]
};

/// What a packed prefill gave, per sequence.
struct PackedResult {
  std::vector<at::Tensor> logits;  ///< [rows, vocab]
  /// By layer, then by sequence: the positions that ran, and the weights of the rows that a router weighed.
  std::map<int64_t, std::vector<std::vector<int64_t>>> kept;
  std::map<int64_t, std::vector<std::vector<float>>> router_weight;
  std::vector<std::vector<int64_t>> places;  ///< [sequences][rows] rotary places, of the first axis
};

/// Several sequences through a decoder at once, one after another without padding, under the model's own plan.
class PackedRun {
 public:
  PackedRun(const models::Model& model, std::vector<PackedSequence> sequences);
  PackedResult prefill();
  /// `steps` greedy tokens per sequence after the prefill, all sequences in one batch.
  std::vector<std::vector<int64_t>> decode(int64_t steps);

 private:
  routing::Batch batch(bool prompt);

  const models::Model& model_;
  std::vector<PackedSequence> sequences_;
  std::vector<std::vector<nn::LayerState>> states_;
  std::vector<at::Tensor> last_;  ///< [1, vocab] per sequence
  int64_t decoded_ = 0;
};

}  // namespace lithe::golden
